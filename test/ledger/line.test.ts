import { describe, expect, it } from 'vitest'
import { RunLost, StoreUnavailable } from '../../lib/errors.ts'
import { ledgerLine } from '../../lib/ledger/line.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { useDatabase } from '../database/database-stack.ts'

const database = useDatabase()
const backend = async (connection: Connection) =>
  (await connection.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number

describe('the way to the ledger', () => {
  it('is one connection for all that an invocation says, closed at its end', async () => {
    const line = ledgerLine(database.clients)
    const pid = await line.use(backend)
    expect(await Promise.all([line.use(backend), line.use(backend)])).toEqual([pid, pid])
    await line.close()
    const left = await database.admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])
    expect(left.rowCount).toBe(0)
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
