import { figureOf } from '../figures/figure.ts'
import { backedUp, stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const verify: Subject = {
  name: 'verify',
  rows: { verify: 'verify: every object of a backup read and compared' },
  async measure({ world }) {
    const run = await world.run({ operation: 'verify', backupId: await backedUp(world) })
    return { verify: figureOf(stepsOf(run, 'verify')) }
  },
  peers: [],
}
