import { S3Client } from '@aws-sdk/client-s3'
import { parseRequest } from '../../lib/run/request.ts'
import { claimEnvironment } from '../cli/claim-environment.ts'
import { open } from '../cli/connect.ts'
import { followRun } from '../cli/follow-run.ts'
import { progressOn } from '../cli/progress.ts'
import { startRun } from '../cli/start-run.ts'
import { bytes, counted } from '../cli/text.ts'
import { fillSample } from '../sample.ts'
import type { Stack } from '../stack.ts'
import { countStores, totalOf } from './counts.ts'
import { prove } from './proof.ts'
import { summarize } from './summary.ts'

/** Fills the stack, resets it in full with a backup, and proves it. @throws Error when anything is not as it should be */
export async function demonstrate(stack: Stack, say: (text: string) => void): Promise<void> {
  const connected = await open(undefined)
  const s3 = new S3Client({ forcePathStyle: true })
  await fillSample(stack)
  await claimEnvironment(connected)
  const before = await countStores(stack, s3)
  const { rows, files, keys } = before
  const inTables = `${counted(totalOf(rows), 'row')} in ${counted(Object.keys(rows).length, 'table')}`
  const inFiles = `${counted(files.objects, 'file')} (${bytes(files.bytes)})`
  say(`Filled with a TaskMaster in use: ${inTables}, ${inFiles}, ${counted(keys, 'cache key')}.\n`)

  const confirm = connected.clients.config.ENVIRONMENT
  const sent = { operation: 'reset', strategy: 'full', confirm, requestedBy: 'npm start' }
  say(`Starting the state machine with ${JSON.stringify(sent)}\n`)
  const runId = await startRun(connected, { sent, request: parseRequest(sent) })
  const followed = await followRun(connected, runId, progressOn(process.stdout))
  const { outcome } = followed
  if (outcome.error !== null) throw new Error(`${outcome.error.name}: ${outcome.error.message}`)
  say(`\n${await summarize(connected.clients, followed, before)}`)

  const proof = await prove(stack, s3, { before, outcome })
  say(`Asked past the product, by clients of their own:\n`)
  for (const line of proof) say(`✓ ${line}`)
  s3.destroy()
  await connected.stop()
}
