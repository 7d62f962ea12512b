import * as z from 'zod'
import { unsupportedTypes } from '../lib/cache/export/export.ts'
import { keysToWipe } from '../lib/cache/schema/plan.ts'
import { wipeCache } from '../lib/cache/wipe/wipe.ts'
import { wipeDatabase } from '../lib/database/wipe/wipe.ts'
import { wipeFiles } from '../lib/files/wipe.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { checkStoreMark } from '../lib/run/guard.ts'
import { databaseOf, filesOf, readPlan } from '../lib/run/planning/plan.ts'
import { targets } from '../lib/store.ts'
import { task } from '../lib/task.ts'

const WipeInput = RunRef.extend({ target: z.enum(targets), batch: z.number().int().nonnegative().default(0) })

/** States "Wipe database", "Wipe files" and "Wipe cache": empty one target, covered by the run's sealed backup. */
export const handler = task(
  WipeInput,
  {
    phase: ({ target }) => `Wipe ${target}`,
    run: (input) => input,
    waits: ({ target }) => target === 'database',
    latestOnly: ({ target }) => target === 'cache', // it adds to the backup what changed, and replaces what was there
    guard: (clients, { target }) => checkStoreMark(clients, target),
  },
  async (clients, { target, batch, ...run }, report, fence) => {
    const bucket = clients.backups
    const plan = await readPlan(bucket, run, await fence.noted())
    const backup = plan.backupId !== null
    if (target === 'database') await wipeDatabase(clients, databaseOf(plan))
    if (target === 'files') {
      await wipeFiles(
        clients,
        { backup, batch, preserve: plan.preserve.files, ...filesOf(plan) },
        report,
        fence,
      )
    }
    if (target === 'cache') {
      const kept = backup ? await unsupportedTypes(bucket, run) : []
      const expected = plan.cache === null ? 0 : keysToWipe(plan.cache)
      await wipeCache(
        clients,
        {
          run,
          fence,
          backupId: plan.backupId,
          preserve: plan.preserve.keys,
          unsupportedTypes: kept,
          expected,
        },
        report,
      )
    }
    return {}
  },
)
