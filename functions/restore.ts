import * as z from 'zod'
import { restoreCache } from '../lib/cache/restore/restore.ts'
import { readRestored } from '../lib/database/load/sources.ts'
import { restoreDatabase } from '../lib/database/restore/restore.ts'
import { restoreFiles } from '../lib/files/restore/restore.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { checkStoreMark } from '../lib/run/guard.ts'
import { databaseOf, readPlan, restoredBy, restoredFilesOf } from '../lib/run/planning/plan.ts'
import { targets } from '../lib/store.ts'
import { task } from '../lib/task.ts'

const RestoreInput = RunRef.extend({
  target: z.enum(targets),
  batch: z.number().int().nonnegative().default(0),
})

/** States "Restore database", "Restore files" and "Restore cache": put one target back as the backup holds it. */
export const handler = task(
  RestoreInput,
  {
    phase: ({ target }) => `Restore ${target}`,
    run: (input) => input,
    waits: ({ target }) => target === 'database',
    latestOnly: ({ target }) => target === 'cache', // it adds to the backup what changed, and replaces what was there
    guard: (clients, { target }) => checkStoreMark(clients, target),
  },
  async (clients, { target, batch, ...run }, report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    const backup = await readRestored(clients, restoredBy(plan))
    const { exact } = restoredBy(plan)
    if (target === 'database') await restoreDatabase(clients, { ...databaseOf(plan), backup })
    if (target === 'files') {
      const { backupId } = backup
      const safety = plan.backupId !== null
      const asked = { backupId, batch, exact, safety, ...restoredFilesOf(plan) }
      await restoreFiles(clients, asked, report, fence)
    }
    if (target === 'cache' && backup.cache !== null) {
      const { parts, prefix } = backup.cache
      const safetyBackupId = plan.backupId
      await restoreCache(clients, { run, fence, safetyBackupId, parts, prefix, exact }, report)
    }
    return {}
  },
)
