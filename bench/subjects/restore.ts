import { figureOf, lasting } from '../figures/figure.ts'
import { restoreFromFolder } from '../peers/dump.ts'
import { watchLocks } from '../stores/locks.ts'
import { backedUp, stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const restore: Subject = {
  name: 'restore',
  rows: {
    restore: 'restore of the database, every row compared, without a safety backup',
    'restore lock': 'of it, with the tables locked',
  },
  async measure({ world }) {
    const backupId = await backedUp(world)
    const stop = await watchLocks(world.adminUrl)
    const run = await world.run({
      operation: 'restore',
      backupId,
      targets: ['database'],
      safetyBackup: false,
    })
    const locked = await stop()
    await world.renew()
    return {
      restore: figureOf(stepsOf(run, 'load', 'compare', 'restore')),
      'restore lock': lasting(locked),
    }
  },
  peers: [restoreFromFolder('restore')],
}
