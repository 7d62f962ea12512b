import { lasting } from '../figures/figure.ts'
import { importMsOf } from '../steps/invoke.ts'
import type { Subject } from './subject.ts'

export const imported: Subject = {
  name: 'import',
  rows: { import: 'cold import of the function that takes longest' },
  async measure({ world, functions, bundleOf }) {
    const all: number[] = []
    for (const name of functions) all.push(await importMsOf(bundleOf(name), world.env))
    return { import: lasting(Math.max(...all) / 1000) }
  },
  peers: [],
}
