import { setTimeout } from 'node:timers/promises'
import { resolveBackup } from '../../backup/naming/resolve.ts'
import type { Clients } from '../../clients.ts'
import { messageOf, StoreUnavailable } from '../../errors.ts'
import { messageOfCause } from '../../executions/cause.ts'
import { lockNotices, noteNotice } from '../../ledger/calls/notices.ts'
import { findRun, type RunRow } from '../../ledger/runs.ts'
import { logger } from '../../log.ts'
import type { Connection } from '../../postgres/connection.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { callOwed } from '../hooks/hooks.ts'
import { type Event, type Execution, eventsOf, isDry, requestOf } from './event.ts'
import { emit, emitRun } from './metrics.ts'
import type { Happening } from './send.ts'
import { tell } from './tell.ts'
import { textOfEnd, textOfNoBackup, textOfRefused, textOfStart } from './text.ts'

/** Milliseconds that the ledger has to tell of the end: what closes a run hears of it by the same event. */
const patienceMs = 20_000
/** Milliseconds that a run has to get its row: a cold start, and a database that wakes up. */
const beginMs = 10_000
const lookEveryMs = 250

/**
 * After an event of a run, what has to be done by somebody who is not the run: nothing of it can change how that ends. The
 * hooks that are owed; and beside them the metrics, then who is to be told.
 * @throws when something could not be done, so that Lambda repeats it; what was done is not done again
 * @see docs/decisions.md#who-is-told-is-told-by-a-function-of-its-own
 */
export async function notify(clients: Clients, event: Event, signal: AbortSignal): Promise<void> {
  if (event['detail-type'] === 'CloudWatch Alarm State Change') {
    const { alarmName, state } = event.detail
    if (state.value !== 'ALARM') return
    const text = textOfNoBackup(clients.config, alarmName)
    const about = `${alarmName} ${event.time}`
    await tellAll(clients, { about, moment: 'no-backup', events: ['no-backup'], run: null, text }, { signal })
    return
  }
  const { detail } = event
  const namespace = detail.stateMachineArn.split(':').at(-1) ?? ''
  if (detail.status === 'RUNNING') return await tellStart(clients, detail, { namespace, signal })
  const row = await endedRun(clients, detail.name, signal)
  if (row === undefined) return await tellRefused(clients, detail, { namespace, signal })
  const fence = { signal, check: async () => signal.throwIfAborted() }
  // Side by side: what takes minutes to answer a hook keeps nobody from being told, nor does a chat that is down keep maintenance on.
  const ends = await Promise.allSettled([
    callOwed(clients, { runId: row.runId, fence }),
    tellEnd(clients, row, { namespace, signal }),
  ])
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

async function tellEnd(clients: Clients, row: RunRow, around: Around & { namespace: string }): Promise<void> {
  if (isDry(row)) return
  await count(clients, row, around.namespace)
  const events = await withConnection(clients, (connection) => eventsOf(connection, row))
  const { runId, operation, strategy, status } = row
  const text = textOfEnd(clients.config, row, events)
  const run = { runId, operation, strategy, status }
  await tellAll(clients, { about: runId, moment: 'ended', events, run, text }, around)
}

type Around = { namespace?: string; signal: AbortSignal }

/**
 * Of a run that has its row: the execution of a request that is refused, or that came twice, starts nothing, and who waits
 * for its end would wait for ever.
 */
async function tellStart(clients: Clients, detail: Execution, around: Around): Promise<void> {
  const request = requestOf(detail)
  const isAsked = clients.config.NOTICES.some(({ on }) => on.includes('started'))
  if (request === null || request.dryRun || !isAsked) return
  const row = await begunRun(clients, detail.name, around.signal)
  // A start that is told after the end would be taken for another one.
  if (row?.status !== 'running') return
  const run = {
    runId: detail.name,
    operation: request.operation,
    strategy: request.strategy,
    status: 'running',
  }
  const text = textOfStart(clients.config, run)
  await tellAll(clients, { about: detail.name, moment: 'started', events: ['started'], run, text }, around)
}

/** This event and the first state come at once. */
async function begunRun(clients: Clients, runId: string, signal: AbortSignal): Promise<RunRow | undefined> {
  return withConnection(clients, async (connection) => {
    for (let waited = 0; ; waited += lookEveryMs) {
      const row = await findRun(connection, runId)
      if (row !== undefined || waited >= beginMs) return row
      await setTimeout(lookEveryMs, undefined, { signal })
    }
  })
}

/** It was refused before it became a run, or another one had its key and is told for itself. */
async function tellRefused(clients: Clients, detail: Execution, around: Around): Promise<void> {
  const request = requestOf(detail)
  if (detail.status === 'SUCCEEDED' || request === null || request.dryRun) return
  const error = { name: detail.error ?? detail.status, message: messageOfCause(detail.cause ?? '') }
  const text = textOfRefused(clients.config, request, error)
  const run = { runId: detail.name, operation: request.operation, strategy: request.strategy, status: null }
  await tellAll(clients, { about: detail.name, moment: 'ended', events: ['failed'], run, text }, around)
}

/** @throws StoreUnavailable with who could not be reached, and why */
async function tellAll(clients: Clients, happening: Happening, { namespace, signal }: Around): Promise<void> {
  const failed = await tell(clients, happening, signal)
  if (failed.length === 0) return
  if (namespace !== undefined)
    emit(namespace, clients.now(), [{ name: 'NoticesFailed', unit: 'Count', value: failed.length }])
  const reasons = failed.map(({ name, reason }) => `"${name}" (${reason})`).join(', ')
  throw new StoreUnavailable(
    `These notices could not be delivered: ${reasons}. What they are about is as it is; it is tried again`,
  )
}

/** Once: the event comes twice, and metrics add up. */
async function count(clients: Clients, row: RunRow, namespace: string): Promise<void> {
  const key = { about: row.runId, event: 'metrics' }
  await withConnection(clients, async (connection) => {
    const counted = await lockNotices(connection, key)
    if (counted === null || counted.size > 0) return
    emitRun(namespace, row, { now: clients.now(), proved: await provedAt(clients, connection) })
    await noteNotice(connection, { ...key, name: 'all', error: null })
  })
}

/** When the newest backup was taken that was loaded and compared; null: there is none, or that cannot be read now. */
async function provedAt(clients: Clients, connection: Connection): Promise<Date | null> {
  try {
    const backupId = await resolveBackup(clients, connection, 'latest-rehearsed')
    const [, day, hour, minute, second] = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z/.exec(backupId) ?? []
    return day === undefined ? null : new Date(`${day}T${hour}:${minute}:${second}Z`)
  } catch (error) {
    logger.warn('the age of the newest proved backup is not known', { reason: messageOf(error) })
    return null
  }
}

/** @throws StoreUnavailable when the run is not over yet for the ledger */
async function endedRun(clients: Clients, runId: string, signal: AbortSignal): Promise<RunRow | undefined> {
  return withConnection(clients, async (connection) => {
    for (let waited = 0; ; waited += lookEveryMs) {
      const row = await findRun(connection, runId)
      if (row?.status !== 'running') return row
      if (waited >= patienceMs)
        throw new StoreUnavailable(
          `The execution of run ${runId} has ended, and the ledger does not know yet how. Nothing was called or told; it is tried again`,
        )
      await setTimeout(lookEveryMs, undefined, { signal })
    }
  })
}
