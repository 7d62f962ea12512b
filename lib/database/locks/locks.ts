import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../../clients.ts'
import { DatabaseBusy, messageOf } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, type Relation } from '../../postgres/identifiers.ts'
import { findHolders, type Holders, type Wanted } from './holders.ts'
import { type Try, triesWithin } from './tries.ts'

export type Locks = {
  /** Locked against everybody else. */
  exclusive: readonly Relation[]
  /** Locked against TRUNCATE, ALTER and DROP; readers and writers pass. */
  shared: readonly Relation[]
}

type Waiting = {
  /** Asks past the connection that waits, which can ask nothing in a transaction that must not have a snapshot yet. */
  ask<Result>(question: (connection: Connection) => Promise<Result>): Promise<Result>
  /** Told after each try that was refused, with who is in the way. */
  say(text: string): Promise<void>
}

/** A lock that was not granted in time, and the one of two sessions that Postgres chose when they waited for each other. */
export function isRefusedLock(error: unknown): boolean {
  return ['55P03', '40P01'].includes(sqlStateOf(error) ?? '')
}

/**
 * Locks tables until the transaction ends, which must have just begun: it gets no snapshot by this. While it waits for
 * one table it holds others only for moments: when one is refused, all are given back, so that whoever holds that one may
 * finish with the others, and next time it comes first.
 * @throws DatabaseBusy naming who holds them, when they are not granted within LOCK_TIMEOUT_MS
 * @see docs/decisions.md#locks-are-tried-for-in-turns-all-or-none
 */
export async function lockTables(
  { config }: Pick<Clients, 'config'>,
  connection: Connection,
  { exclusive, shared }: Locks,
  waiting: Waiting,
): Promise<void> {
  const wanted: Wanted[] = [
    ...exclusive.map((table) => ({ ...table, exclusive: true })),
    ...shared.map((table) => ({ ...table, exclusive: false })),
  ]
  if (wanted.length === 0) return
  const until = performance.now() + config.LOCK_TIMEOUT_MS
  const tries = triesWithin(config.LOCK_TIMEOUT_MS)
  let inTheWay: readonly number[] = []
  await connection.query('SAVEPOINT before_locks')
  for (const [index, one] of tries.entries()) {
    const refusal = await tryToLock(connection, inOrder(wanted, inTheWay), one, inTheWay.length > 0)
    if (refusal === undefined) return
    await connection.query('ROLLBACK TO SAVEPOINT before_locks')
    const holders = await waiting.ask((other) => findHolders(other, wanted))
    if (index === tries.length - 1 || performance.now() >= until) throw busy(config, holders, refusal)
    inTheWay = holders.tables
    await waiting.say(`waiting for locks, try ${index + 2} of ${tries.length}; in the way: ${holders.told}`)
    await setTimeout(one.pause)
  }
}

/** @returns what Postgres said when one was refused */
async function tryToLock(
  connection: Connection,
  wanted: readonly Wanted[],
  { first, each, others }: Try,
  knowsWhich: boolean,
): Promise<unknown> {
  const alone = knowsWhich ? 1 : 0
  try {
    if (knowsWhich)
      await connection.query(`SET LOCAL lock_timeout = ${first}; ${lockText(wanted.slice(0, alone))}`)
    const limits = [`SET LOCAL lock_timeout = ${each}`, `SET LOCAL statement_timeout = ${others}`]
    const rest = wanted.length === alone ? [] : [...limits, lockText(wanted.slice(alone))]
    // A snapshot cannot be exported from within the savepoint.
    const end = ['SET LOCAL statement_timeout = 0', 'RELEASE SAVEPOINT before_locks']
    await connection.query([...rest, ...end].join('; '))
    return undefined
  } catch (error) {
    if (isRefusedLock(error) || sqlStateOf(error) === '57014') return error
    throw error
  }
}

/** The statements that lock them in this order; neighbours with the same mode share one. */
export function lockText(wanted: readonly Wanted[]): string {
  const statements: { exclusive: boolean; names: string[] }[] = []
  for (const table of wanted) {
    const last = statements.at(-1)
    if (last?.exclusive === table.exclusive) last.names.push(`ONLY ${qualified(table)}`)
    else statements.push({ exclusive: table.exclusive, names: [`ONLY ${qualified(table)}`] })
  }
  return statements
    .map(
      ({ exclusive, names }) =>
        `LOCK TABLE ${names.join(', ')} IN ${exclusive ? 'ACCESS EXCLUSIVE' : 'ACCESS SHARE'} MODE`,
    )
    .join('; ')
}

function inOrder(tables: readonly Wanted[], inTheWay: readonly number[]): Wanted[] {
  const rank = new Map(inTheWay.map((place, index) => [place, index]))
  const at = (place: number) => rank.get(place) ?? inTheWay.length
  return tables
    .map((table, place) => ({ table, at: at(place) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ table }) => table)
}

function busy(config: Clients['config'], { told }: Holders, cause: unknown): DatabaseBusy {
  return new DatabaseBusy(
    `The tables could not be locked within ${config.LOCK_TIMEOUT_MS} ms (${messageOf(cause)}). In the way: ${told}. Nothing was changed; end what holds them, or try again later`,
    { cause },
  )
}
