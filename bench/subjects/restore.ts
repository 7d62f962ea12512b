import { tables } from '../data/rows.ts'
import { figureOf, lasting } from '../figures/figure.ts'
import { restoreFromFolder } from '../peers/dump.ts'
import { query } from '../stores/database.ts'
import { watchLocks } from '../stores/locks.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const restore: Subject = {
  name: 'restore',
  rows: {
    restore:
      'restore of the database, emptied before, from a rehearsed backup, every row compared, without a safety backup',
    'restore lock': 'of it, with the tables locked',
  },
  async measure({ world }) {
    const { outcome } = await world.run({ operation: 'backup', strategy: 'database-only', rehearse: true })
    await query(world.adminUrl, `TRUNCATE ${tables.join(', ')}`) // what is there already would not be restored
    const stop = await watchLocks(world.adminUrl)
    const run = await world.run({
      operation: 'restore',
      backupId: outcome.backupId,
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
