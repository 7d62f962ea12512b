import { randomUUID } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { RunLost, StoreUnavailable } from '../../lib/errors.ts'
import { takeCall } from '../../lib/ledger/calls/calls.ts'
import { ledgerLine } from '../../lib/ledger/line.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { session, useDatabase, waiting } from '../database/database-stack.ts'

const database = useDatabase()
const backend = async (connection: Connection) =>
  (await connection.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number

describe('the way to the ledger', () => {
  it('is one connection for all that an invocation says, closed at its end', async () => {
    const line = ledgerLine(database.clients)
    const pid = await line.use(backend)
    expect(await Promise.all([line.use(backend), line.use(backend)])).toEqual([pid, pid])
    await line.close()
    // The server hears of it a moment later.
    await expect
      .poll(() => database.admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid]))
      .toMatchObject({ rowCount: 0 })
    await line.close()
  })

  it('is opened anew when it was ended while the step was silent', async () => {
    const line = ledgerLine(database.clients)
    const pid = await line.use(backend)
    await database.admin.query('SELECT pg_terminate_backend($1, 5000)', [pid])
    expect(await line.use(backend)).not.toBe(pid)
    await line.close()
  })

  it('does not ask again when the run is lost, or when the database cannot be reached', async () => {
    let asked = 0
    const line = ledgerLine(database.clients)
    await line.use(backend)
    const lost = line.use(async () => {
      asked++
      throw new RunLost('taken over')
    })
    await expect(lost).rejects.toThrow(RunLost)
    expect(asked).toBe(1)
    await line.close()
    const connect = async () => {
      asked++
      throw new StoreUnavailable('down')
    }
    const down = ledgerLine({ connect })
    await expect(down.use(backend)).rejects.toThrow(StoreUnavailable)
    expect(asked).toBe(2)
    await down.close()
  })
})

/** The state "Hooks before" or the end of the run, by an invocation of its own. */
function take(runId: string, moment: 'before' | 'after', name: string) {
  const asked = { by: randomUUID(), seconds: 60 }
  return withConnection(database.clients, (connection) =>
    takeCall(connection, { runId, moment, name }, asked),
  )
}

it('of two calls of a run that are asked for at the same moment one is given', async () => {
  const runId = randomUUID()
  const inTheWay = await session(database, 'in the way')
  await inTheWay.query('BEGIN')
  await inTheWay.query(
    `INSERT INTO taskmaster_reset.calls (run_id, moment, name, state) VALUES ($1, 'before', 'on', 'owed')`,
    [runId],
  )
  const on = take(runId, 'before', 'on')
  await vi.waitFor(async () => expect(await waiting(database)).toBe(1), 5000)
  const isOver = vi.fn()
  const off = take(runId, 'after', 'off').finally(isOver)
  await vi.waitFor(async () => expect((await waiting(database)) + isOver.mock.calls.length).toBe(2), 5000)
  await inTheWay.query('COMMIT')
  const [first, second] = await Promise.all([on, off])
  expect([first.isOurs, second.isOurs]).toEqual([true, false])
  const other = randomUUID()
  expect(await take(other, 'before', 'on')).toMatchObject({
    isOurs: true,
    call: { tries: 1, state: 'calling' },
  })
})
