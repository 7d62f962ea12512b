import { type Figure, figureOf, medianOf } from '../figures/figure.ts'
import type { World } from '../world.ts'
import type { Subject } from './subject.ts'

/** It takes so short that one alone says little. */
const times = 3

async function ask(world: World): Promise<Figure> {
  const figures: Figure[] = []
  for (let time = 0; time < times; time++) figures.push(figureOf([await world.ask('/v1/options')]))
  return medianOf(figures)
}

export const options: Subject = {
  name: 'options',
  rows: { options: 'GET /v1/options, of a function that was just started' },
  measure: async ({ world }) => ({ options: await ask(world) }),
  peers: [
    {
      name: 'the same with a tenth of the data',
      of: 'options',
      needs: [],
      prepare: async ({ tenth }) => void (await tenth()),
      measure: async ({ tenth }) => ask(await tenth()),
    },
  ],
}
