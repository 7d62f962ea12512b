import { figureOf } from '../figures/figure.ts'
import type { Subject } from './subject.ts'

export const reset: Subject = {
  name: 'reset',
  rows: { reset: 'reset full: backup of all three stores, rehearsed, then the wipe; with every start' },
  async measure({ world }) {
    await world.forgetBackups()
    const { startedAt, endedAt, steps } = await world.run({
      operation: 'reset',
      strategy: 'full',
      rehearse: true,
    })
    await world.renew()
    return { reset: { ...figureOf(steps), seconds: (endedAt - startedAt) / 1000 } }
  },
  peers: [],
}
