import { createHash, randomUUID } from 'node:crypto'
import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn'
import { withConnection } from '../../lib/database/snapshot.ts'
import { IdempotencyConflict } from '../../lib/errors.ts'
import { executionArn, machineError } from '../../lib/executions.ts'
import { findRun } from '../../lib/run/ledger.ts'
import { digestOfRequest, idempotencyKeyOf, parseRequest, type Request } from '../../lib/run/request.ts'
import type { Connected } from './connect.ts'
import type { Wanted } from './request.ts'

type Tools = Pick<Connected, 'clients' | 'sfn' | 'machineArn'>

/**
 * Starts the execution that carries out the request; with an idempotency key that was used before, finds the first one.
 * @returns the execution's name, which is the run's id
 * @throws IdempotencyConflict when the key was used for another request
 */
export async function startRun(tools: Tools, { sent, request }: Wanted): Promise<string> {
  const key = idempotencyKeyOf(request)
  if (key === undefined) {
    const name = randomUUID()
    await start(tools, name, sent)
    return name
  }
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 40)
  for (let time = 1; ; time++) {
    // A name that was refused by a guard, and so never became a run, is spent; the key is not.
    const name = time === 1 ? `key-${digest}` : `key-${digest}-${time}`
    if (await start(tools, name, sent)) return name
    if (await isRunOf(tools, name, request)) return name
  }
}

/** @returns false when there was an execution of that name already */
async function start({ sfn, machineArn }: Tools, name: string, sent: unknown): Promise<boolean> {
  try {
    await sfn.send(
      new StartExecutionCommand({ stateMachineArn: machineArn, name, input: JSON.stringify(sent) }),
    )
    return true
  } catch (error) {
    if (nameOf(error) === 'ExecutionAlreadyExists') return false
    throw machineError(machineArn, error)
  }
}

/** Whether the execution of that name carries out this very request: it is under way, or got its row in the ledger. */
async function isRunOf(tools: Tools, name: string, request: Request): Promise<boolean> {
  const row = await withConnection(tools.clients, (connection) => findRun(connection, name))
  const execution = row === undefined ? await describeExecution(tools, name) : undefined
  if (row === undefined && execution?.status !== 'RUNNING') return false
  const digest = row?.requestDigest ?? digestOfRequest(parseRequest(JSON.parse(execution?.input ?? '{}')))
  if (digest === digestOfRequest(request)) return true
  throw new IdempotencyConflict(
    `The idempotency key ${idempotencyKeyOf(request)} was used by run ${name} for another request. Use a new key, or send that request unchanged`,
  )
}

/** @returns undefined when Step Functions does not know the execution (any more) */
export async function describeExecution(
  { sfn, machineArn }: Pick<Connected, 'sfn' | 'machineArn'>,
  name: string,
): Promise<DescribeExecutionCommandOutput | undefined> {
  try {
    return await sfn.send(new DescribeExecutionCommand({ executionArn: executionArn(machineArn, name) }))
  } catch (error) {
    if (nameOf(error) === 'ExecutionDoesNotExist') return undefined
    throw machineError(machineArn, error)
  }
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined
}
