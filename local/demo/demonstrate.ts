import { S3Client } from '@aws-sdk/client-s3'
import { parseRequest } from '../../lib/run/request.ts'
import { targets } from '../../lib/store.ts'
import { type Connected, open } from '../cli/connect.ts'
import { claimEnvironment } from '../cli/run/claim-environment.ts'
import { type Followed, followRun } from '../cli/run/follow.ts'
import { startWanted } from '../cli/run/start.ts'
import { showOutcome } from '../cli/show/outcome.ts'
import { progressOn } from '../cli/show/progress.ts'
import { fillSample } from '../sample.ts'
import type { Stack } from '../stack.ts'
import { countStores, countsInWords, demonstrationsOfStores } from './counts.ts'
import { prove, proveRestored } from './proof.ts'
import { summarize } from './summary.ts'

/**
 * Fills the stack, takes a baseline, resets all to zero, has it used a little, resets it to the baseline, and proves both resets.
 * @throws Error when anything is not as it should be
 */
export async function demonstrate(stack: Stack, say: (text: string) => void): Promise<void> {
  const connected = await open(undefined)
  const s3 = new S3Client({ forcePathStyle: true })
  await fillSample(stack)
  await claimEnvironment(connected)
  const demonstrations = await demonstrationsOfStores()
  const asked = { ...stack, s3 }
  const before = await countStores(demonstrations, asked)
  say(`Filled with a TaskMaster in use: ${countsInWords(demonstrations, before).join(', ')}.\n`)

  const confirm = connected.clients.config.ENVIRONMENT
  const requestedBy = 'npm start'
  const taken = { operation: 'backup', label: 'baseline', pin: true, requestedBy }
  say(`This is to be the baseline: ${JSON.stringify(taken)}\n`)
  const baseline = await carryOut(connected, taken)
  say(`\nRun ${baseline.outcome.runId}: ${baseline.outcome.backupId} is called baseline, and pinned.`)

  const sent = { operation: 'reset', strategy: 'full', confirm, requestedBy }
  say(`\nTo zero: ${JSON.stringify(sent)}\n`)
  const followed = await carryOut(connected, sent)
  const { outcome } = followed
  say(`\n${await summarize(connected.clients, followed, { demonstrations, before })}`)

  const proof = await prove(demonstrations, asked, { before, outcome })
  say(`Asked past the product, by clients of their own:\n`)
  for (const line of proof) say(`✓ ${line}`)

  const written = await Promise.all(targets.map((store) => demonstrations[store].use(asked)))
  const back = { operation: 'reset', strategy: 'full', to: 'baseline', confirm, requestedBy }
  say(`\nSomebody uses it: ${written.join(', ')}. And back to the baseline: ${JSON.stringify(back)}\n`)
  const restored = await carryOut(connected, back)
  say(
    `\n${showOutcome(restored.outcome, { plan: restored.row?.plan ?? null, environment: confirm, isGone: true })}`,
  )
  say(`Asked past the product once more:\n`)
  for (const line of await proveRestored(demonstrations, asked, before)) say(`✓ ${line}`)
  s3.destroy()
  await connected.stop()
}

/** Starts the state machine, shows its progress, and waits for its end. */
async function carryOut(connected: Connected, sent: Record<string, unknown>): Promise<Followed> {
  const { runId } = await startWanted(connected.clients, { sent, request: parseRequest(sent) })
  const followed = await followRun(connected.clients, runId, progressOn(process.stdout, false))
  const { error } = followed.outcome
  if (error !== null) throw new Error(`${error.name}: ${error.message}`)
  return followed
}
