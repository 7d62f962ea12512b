import * as z from 'zod'
import type { Noticed } from '../../config/calls.ts'
import type { RunRow } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'
import { operationOfRequest, readAccepted } from '../request.ts'

/** "Step Functions Execution Status Change" and "CloudWatch Alarm State Change", as EventBridge delivers them. */
export const EventInput = z.discriminatedUnion('detail-type', [
  z.object({
    'detail-type': z.literal('Step Functions Execution Status Change'),
    detail: z.object({
      stateMachineArn: z.string().min(1),
      /** The execution's name, which is the run's id. */
      name: z.string().min(1),
      status: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED']),
      /** The request. Of it is read what it is, and nothing else: it may hold what a caller sent. */
      input: z.string().nullish(),
      error: z.string().nullish(),
      cause: z.string().nullish(),
    }),
  }),
  z.object({
    'detail-type': z.literal('CloudWatch Alarm State Change'),
    /** When it changed; the same in an event that comes twice. */
    time: z.string().min(1),
    detail: z.object({ alarmName: z.string().min(1), state: z.object({ value: z.string() }) }),
  }),
])
export type Event = z.output<typeof EventInput>
export type Execution = Extract<Event, { detail: { name: string } }>['detail']

/** What was asked for, as far as that can be read: an execution may be started with anything. */
export function requestOf({
  input,
}: Execution): { operation: string; strategy: string | null; dryRun: boolean } | null {
  let said: unknown
  try {
    said = JSON.parse(input ?? '')
  } catch {
    return null // EventBridge leaves out what is long
  }
  const request = readAccepted(said)
  if (request === undefined) return null
  const strategy = 'strategy' in request ? request.strategy : null
  return { operation: operationOfRequest(request), strategy, dryRun: 'dryRun' in request && request.dryRun }
}

/** What there is to tell of a run that is over, the most telling first. */
export async function eventsOf(connection: Connection, row: RunRow): Promise<Noticed[]> {
  const outdated: Noticed[] = hasWarning(row, 'BaselineOutdated') ? ['baseline-outdated'] : []
  if (!row.status.startsWith('succeeded')) return ['failed', ...outdated]
  const recovered: Noticed[] = (await failedBefore(connection, row)) ? ['recovered'] : []
  const warned: Noticed[] = row.status === 'succeeded' ? [] : ['warned']
  return [...recovered, ...outdated, ...warned, 'succeeded']
}

export function warningsOf({ outcome }: Pick<RunRow, 'outcome'>): { code: string; message: string }[] {
  const Warnings = z.object({ warnings: z.array(z.object({ code: z.string(), message: z.string() })) })
  return Warnings.safeParse(outcome).data?.warnings ?? []
}

function hasWarning(row: RunRow, code: string): boolean {
  return warningsOf(row).some((warning) => warning.code === code)
}

/** Whether the last run of the kind failed. What was only tried dry does not count. */
async function failedBefore(connection: Connection, row: RunRow): Promise<boolean> {
  const { rows } = await connection.query(
    `SELECT status FROM taskmaster_reset.runs
     WHERE operation = $1 AND strategy IS NOT DISTINCT FROM $2 AND run_id <> $3 AND started_at <= $4
       AND status <> 'running' AND (plan ->> 'dryRun') IS DISTINCT FROM 'true'
     ORDER BY started_at DESC LIMIT 1`,
    [row.operation, row.strategy, row.runId, row.startedAt],
  )
  return rows[0] !== undefined && !String(rows[0].status).startsWith('succeeded')
}

/** Of what nobody needs to hear: a dry run, whatever became of it. */
export function isDry({ plan }: Pick<RunRow, 'plan'>): boolean {
  return z.object({ dryRun: z.literal(true) }).safeParse(plan).success
}
