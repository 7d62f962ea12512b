import { figureOf } from '../figures/figure.ts'
import { dumpAndRestore } from '../peers/dump.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const backup: Subject = {
  name: 'backup',
  rows: { backup: 'backup of the database, rehearsed: every row loaded and compared' },
  async measure({ world }) {
    await world.forgetBackups()
    const run = await world.run({ operation: 'backup', strategy: 'database-only', rehearse: true })
    return { backup: figureOf(stepsOf(run, 'export', 'load', 'compare', 'seal')) }
  },
  peers: [dumpAndRestore('backup')],
}
