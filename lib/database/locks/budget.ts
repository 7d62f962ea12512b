import { DatabaseBusy, ResetError, StoreUnavailable } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'

/**
 * Milliseconds after which the server ends a transaction that holds locks and is told nothing: of a process that is frozen,
 * or waits for a store that says nothing. More than reading back one part takes.
 */
const idleMs = 30_000

/**
 * SQL that lets the server keep the budget too, when this process cannot; until the transaction ends.
 * @see docs/decisions.md#locks-have-a-budget-on-both-sides
 */
export function budgetSettings({ LOCK_BUDGET_MS }: { LOCK_BUDGET_MS: number }): string {
  return `SET LOCAL statement_timeout = ${LOCK_BUDGET_MS}; SET LOCAL idle_in_transaction_session_timeout = ${idleLimit({ LOCK_BUDGET_MS })}`
}

/**
 * The same connection for what is done under locks that the application waits for: every statement is refused once the
 * budget is spent, or when the server has ended the transaction because it was told nothing, and none may run for longer
 * than what is left.
 */
export function withinBudget(connection: Connection, budget: { LOCK_BUDGET_MS: number }): Connection {
  const { LOCK_BUDGET_MS } = budget
  const began = performance.now()
  let told = 0
  let idleSince = began
  function query(...statement: Parameters<Connection['query']>) {
    const now = performance.now()
    const spent = Math.round(now - began)
    if (spent >= LOCK_BUDGET_MS) throw overspent(budget, spent)
    if (now - idleSince >= idleLimit(budget)) throw idled(budget, now - idleSince)
    // What the server was told last lets a statement overrun by a tenth of the budget at most.
    if (spent - told > LOCK_BUDGET_MS / 10) {
      told = spent
      // A transaction that failed refuses it, and then refuses the statement after it, which is reported.
      void connection.query(`SET LOCAL statement_timeout = ${LOCK_BUDGET_MS - spent}`).catch(() => {})
    }
    const answer: unknown = connection.query(...statement)
    idleSince = Number.POSITIVE_INFINITY
    const idle = () => {
      idleSince = performance.now()
    }
    if (answer instanceof Promise) answer.then(idle, idle)
    return answer
  }
  return Object.create(connection, { query: { value: query } })
}

/** What the work under locks ended with, as DatabaseBusy when its time was over. */
export function overspending(error: unknown, budget: { LOCK_BUDGET_MS: number }, spent: number): unknown {
  if (error instanceof ResetError && !(error instanceof StoreUnavailable)) return error
  const isOver = sqlStateOf(error) === '57014' || spent >= budget.LOCK_BUDGET_MS
  return isOver ? overspent(budget, spent, error) : error
}

function idleLimit({ LOCK_BUDGET_MS }: { LOCK_BUDGET_MS: number }): number {
  return Math.min(idleMs, LOCK_BUDGET_MS)
}

function idled(budget: { LOCK_BUDGET_MS: number }, milliseconds: number): DatabaseBusy {
  return new DatabaseBusy(
    `The tables were locked while the database was told nothing for ${Math.round(milliseconds)} ms, so it has given them back after ${idleLimit(budget)} ms. Nothing was changed; look whether S3 is slow, then start again`,
  )
}

function overspent({ LOCK_BUDGET_MS }: { LOCK_BUDGET_MS: number }, spent: number, cause?: unknown) {
  return new DatabaseBusy(
    `The tables were locked for ${Math.round(spent)} ms, and LOCK_BUDGET_MS=${LOCK_BUDGET_MS} is as long as the application may be kept waiting. Nothing was changed; look whether S3 or the database is slow, or raise LOCK_BUDGET_MS`,
    { cause },
  )
}
