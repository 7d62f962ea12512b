import type { Clients } from '../clients.ts'
import { RunLost } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { openConnection } from '../postgres/with-connection.ts'

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
