import { randomUUID } from 'node:crypto'
import type { Clients } from '../clients.ts'
import { messageOf, RunLost } from '../errors.ts'
import { logger } from '../log.ts'
import type { Connection } from '../postgres/connection.ts'
import { openConnection } from '../postgres/with-connection.ts'
import { forgetInvocation, registerAfterEnd, registerInvocation } from './invocations.ts'
import { lostRun } from './step.ts'

/** The way to the ledger during one invocation. */
export type LedgerLine = {
  /** Asks or tells the ledger something that may be repeated. */
  use<Result>(ask: (connection: Connection) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

/**
 * One connection for all that an invocation tells the ledger, opened at the first word: opening one costs more than what
 * is said. A step may be silent for minutes, and the network then end it; it is opened anew.
 * @see docs/decisions.md#a-step-speaks-to-the-ledger-over-one-connection
 */
export function ledgerLine(clients: Pick<Clients, 'connect'>): LedgerLine {
  let open: ReturnType<typeof openConnection> | undefined

  async function use<Result>(ask: (connection: Connection) => Promise<Result>): Promise<Result> {
    const isReused = open !== undefined
    open ??= openConnection(clients)
    const line = open
    try {
      return await ask((await line).connection)
    } catch (error) {
      if (error instanceof RunLost) throw error // what the ledger says, and would say again
      if (open === line) await close()
      if (!isReused) throw error
      return await use(ask)
    }
  }

  async function close(): Promise<void> {
    const line = open
    open = undefined
    // One that could not be opened has told so to whoever asked.
    await line?.then((opened) => opened.close()).catch(() => {})
  }

  return { use, close }
}

/** The ledger's register of the invocations that may change a store, or make a backup: see closingUntil in ledger/runs.ts. */
export function registerOf(
  ledger: LedgerLine,
  { phase, requestId, remaining }: { phase: string; requestId: string; remaining: number },
) {
  const id = randomUUID()
  let isRegistered = false
  const invocationOf = (runId: string) => ({ id, runId, requestId, step: phase, remaining })
  return {
    async begin(runId: string): Promise<void> {
      isRegistered = true
      const isActive = await ledger.use((connection) => registerInvocation(connection, invocationOf(runId)))
      if (!isActive) throw lostRun(runId)
    },
    async afterEnd(runId: string): Promise<void> {
      isRegistered = true
      await ledger.use((connection) => registerAfterEnd(connection, invocationOf(runId)))
    },
    async end(): Promise<void> {
      if (!isRegistered) return
      try {
        await ledger.use((connection) => forgetInvocation(connection, id))
      } catch (cause) {
        // What the step did counts; the next run has to wait for the deadline.
        logger.warn('the end of the invocation could not be noted in the ledger', {
          phase,
          requestId,
          reason: messageOf(cause),
        })
      }
    },
  }
}
