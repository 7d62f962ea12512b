import { figureOf } from '../figures/figure.ts'
import { dumpToFolder, restoreFromFolder } from '../peers/dump.ts'
import { query } from '../stores/database.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

/** The largest tables. */
const written = ['timeline_events', 'audit_logs', 'world_elements']

/** Count is in it, which looks for the earlier backup. */
const ofBackup = ['count', 'export', 'reconcile', 'load', 'compare', 'seal']
const ofRestore = ['diff', 'load', 'compare', 'restore']

export const nights: Subject = {
  name: 'nights',
  rows: {
    'same night': 'the next backup, rehearsed, when nothing has changed',
    'changed night': 'the next, rehearsed, when the newest 1 % of the rows of three tables have changed',
    'restore of 1 %':
      'restore of a backup that differs in that 1 %, every row compared, without a safety backup',
  },
  async measure({ world }) {
    const backUp = () => world.run({ operation: 'backup', strategy: 'database-only', rehearse: true })
    const { outcome } = await backUp()
    const same = await backUp()
    for (const table of written) {
      const newest = `id * 100 > (SELECT max(id) * 99 FROM ${table})`
      await query(
        world.adminUrl,
        `UPDATE ${table} SET created_at = created_at + interval '1 s' WHERE ${newest}`,
      )
    }
    const changed = await backUp()
    const restored = await world.run({
      operation: 'restore',
      backupId: outcome.backupId,
      targets: ['database'],
      safetyBackup: false,
    })
    await world.renew()
    return {
      'same night': figureOf(stepsOf(same, ...ofBackup)),
      'changed night': figureOf(stepsOf(changed, ...ofBackup)),
      'restore of 1 %': figureOf(stepsOf(restored, ...ofRestore)),
    }
  },
  peers: [dumpToFolder('same night'), dumpToFolder('changed night'), restoreFromFolder('restore of 1 %')],
}
