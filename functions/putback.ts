import * as z from 'zod'
import { restoreCache } from '../lib/cache/restore/restore.ts'
import { aliveFromOf } from '../lib/cache/value/time-to-live.ts'
import { readRestored } from '../lib/database/load/sources.ts'
import { restoreFiles } from '../lib/files/restore/restore.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { checkStoreMark } from '../lib/run/guard.ts'
import { readPlan, restoredBy, restoredFilesOf } from '../lib/run/planning/plan.ts'
import { targets } from '../lib/store.ts'
import { task } from '../lib/task.ts'

const PutbackInput = RunRef.extend({
  target: z.enum(targets).exclude(['database']), // which "Restore database" does
  batch: z.number().int().nonnegative().default(0),
})

/**
 * States "Restore files" and "Restore cache": put one target back as the backup holds it.
 * @see docs/decisions.md#files-and-keys-are-put-back-by-a-function-of-their-own
 */
export const handler = task(
  PutbackInput,
  {
    phase: ({ target }) => `Restore ${target}`,
    run: (input) => input,
    latestOnly: ({ target }) => target === 'cache', // it adds to the backup what changed, and replaces what was there
    guard: (clients, { target }) => checkStoreMark(clients, target),
  },
  async (clients, { target, batch, ...run }, report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    const backup = await readRestored(clients, restoredBy(plan))
    const { exact } = restoredBy(plan)
    if (target === 'files') {
      const { backupId } = backup
      const safety = plan.backupId !== null
      const { touchedFiles: touched } = restoredBy(plan)
      const asked = { backupId, batch, exact, safety, touched, ...restoredFilesOf(plan) }
      await restoreFiles(clients, asked, report, fence)
    }
    if (target === 'cache' && backup.cache !== null) {
      const { parts, prefix } = backup.cache
      const { touchedKeys: touched, ttl } = restoredBy(plan)
      const aliveFrom = aliveFromOf(backup, ttl)
      const asked = { run, fence, safetyBackupId: plan.backupId, parts, prefix, exact, touched, aliveFrom }
      await restoreCache(clients, asked, report)
    }
    return {}
  },
)
