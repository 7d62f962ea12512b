import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect, test } from 'vitest'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { mergeLate } from '../../lib/backup/sections/merge-tables.ts'
import { asFound, inFullForm, isFull, tried } from '../support/trust.ts'
import { backupBucket, environment, quickReset, useResetStack, withVariables } from './reset-stack.ts'

const reset = useResetStack()

const accounts = 6000
const each = 1000

/** Whatever is moved between two accounts is written down, and what is no longer written down is in the total: in one transaction. */
async function seedAccounts(): Promise<void> {
  await reset.seed({ users: 5, files: 0, keys: 0 })
  await reset.stack.sql.query(`
    CREATE TABLE debit (id int PRIMARY KEY, balance int NOT NULL, filler text) WITH (fillfactor = 80);
    CREATE TABLE credit (id int PRIMARY KEY, balance int NOT NULL, filler text);
    CREATE TABLE moves (id uuid PRIMARY KEY, debit int NOT NULL REFERENCES debit, credit int NOT NULL REFERENCES credit, amount int NOT NULL, filler text);
    CREATE TABLE total (id int PRIMARY KEY, balance int NOT NULL);
    INSERT INTO debit SELECT g, ${each}, repeat(md5(g::text), 8) FROM generate_series(1, ${accounts}) g;
    INSERT INTO credit SELECT g, ${each}, repeat(md5(g::text), 8) FROM generate_series(1, ${accounts}) g;
    INSERT INTO total VALUES (1, 0)`)
}

type Held = { balance: Record<'debit' | 'credit' | 'total', number>; moved: number; rows: number }

/** Between any two transactions. */
function checkBalance(name: string, { balance, moved, rows }: Held): void {
  const { debit, credit, total } = balance
  expect({ name, rows, sum: debit + credit }).toEqual({
    ...{ name, rows: 2 * accounts, sum: 2 * accounts * each },
  })
  expect({ name, moved: total + moved }).toEqual({ name, moved: accounts * each - debit })
}

async function inTables(): Promise<Held> {
  const found = await reset.stack.admin.query(`SELECT (SELECT sum(balance) FROM debit)::int AS debit,
    (SELECT sum(balance) FROM credit)::int AS credit, (SELECT sum(balance) FROM total)::int AS total,
    (SELECT coalesce(sum(amount), 0) FROM moves)::int AS moved, ((SELECT count(*) FROM debit) + (SELECT count(*) FROM credit))::int AS rows`)
  const { moved, rows, ...balance } = found.rows[0]
  return { balance, moved, rows }
}

async function inBackup(backupId: string | null): Promise<Held> {
  const manifest = await reset.manifestOf(backupId)
  const late = await reset.lateOf(backupId)
  const held: Held = { balance: { debit: 0, credit: 0, total: 0 }, moved: 0, rows: 0 }
  const ids = new Set<string>()
  for (const { table, parts } of mergeLate(manifest.database?.tables ?? [], late?.tables ?? [])) {
    if (!['debit', 'credit', 'total', 'moves'].includes(table)) continue
    for (const { key } of parts) {
      if (key === null) continue
      for await (const line of readPartLines({ s3: reset.stack.s3, name: backupBucket }, key)) {
        const { id, balance, amount } = JSON.parse(line.toString())
        const name = `${table} ${id}`
        expect(ids.has(name), `${name} is in the backup twice`).toBe(false)
        ids.add(name)
        if (table === 'moves') held.moved += amount
        else held.balance[table as 'debit'] += balance
        if (table === 'debit' || table === 'credit') held.rows++
      }
    }
  }
  return held
}

function startWriter(pause: number) {
  let [stopped, written] = [false, 0]
  const done = (async () => {
    const client = new pg.Client({ connectionString: reset.stack.env.DATABASE_URL })
    client.on('error', () => {})
    await client.connect()
    while (!stopped) {
      const [one, other] = [0, 0].map(() => 1 + Math.floor(Math.random() * 200))
      const amount = 1 + Math.floor(Math.random() * 5)
      try {
        await client.query('BEGIN')
        const all = [
          await client.query('UPDATE debit SET balance = balance - $2 WHERE id = $1', [one, amount]),
          await client.query('UPDATE credit SET balance = balance + $2 WHERE id = $1', [other, amount]),
          await client.query('INSERT INTO moves VALUES ($1, $2, $3, $4, $5)', [
            ...[randomUUID(), one, other, amount, 'x'.repeat(300)],
          ]),
        ]
        if (Math.random() < 0.3)
          await client.query(
            `WITH gone AS (DELETE FROM moves WHERE id IN (SELECT id FROM moves ORDER BY id LIMIT 3) RETURNING amount)
             UPDATE total SET balance = balance + (SELECT coalesce(sum(amount), 0) FROM gone)`,
          )
        const isWhole = all.every(({ rowCount }) => rowCount === 1)
        await client.query(isWhole ? 'COMMIT' : 'ROLLBACK')
        if (isWhole) written++
      } catch {
        await client.query('ROLLBACK') // a wipe or a swap came between two statements
      }
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
    await client.end()
  })()
  return {
    stop: () => {
      stopped = true
      return done
    },
    get written() {
      return written
    },
  }
}

test.runIf(isFull)(
  `nights, restores and resets while transactions go on keep what each of them keeps ${inFullForm}`,
  asFound,
  async () => {
    await seedAccounts()
    const writers = [startWriter(3), startWriter(7)]
    const backups: string[] = []
    let [taken, again, late] = [0, 0, 0]
    const counted = 16
    try {
      for (let round = 0; round < counted; round++) {
        const variables = round % 2 === 0 ? { EXPORT_BATCH_BYTES: '1' } : {}
        const outcome = await withVariables({ LOCK_TIMEOUT_MS: '120000', ...variables }, async () => {
          const kind = round % 4
          if (kind < 2)
            return reset.succeed({ operation: 'backup', strategy: 'database-only', rehearse: kind === 0 })
          const backupId = backups[Math.floor(Math.random() * backups.length)]
          const restore = {
            operation: 'restore',
            backupId,
            confirm: environment,
            targets: ['database'],
            rehearse: round % 8 < 4,
          }
          if (kind === 2) return reset.succeed(restore)
          const wiped = await reset.succeed({
            ...quickReset,
            strategy: 'database-only',
            rehearse: round % 8 < 4,
          })
          checkBalance(`round ${round}, what was wiped`, await inBackup(wiped.backupId))
          backups.push(wiped.backupId ?? '')
          return reset.succeed({ ...restore, backupId: wiped.backupId, safetyBackup: false })
        })
        checkBalance(`round ${round}, tables`, await inTables())
        again += (await reset.row(outcome.runId)).attempt
        if (outcome.backupId === null) continue
        checkBalance(`round ${round}, backup`, await inBackup(outcome.backupId))
        backups.push(outcome.backupId)
        const manifest = await reset.manifestOf(outcome.backupId)
        taken += manifest.database?.takenOver?.rows ?? 0
        if ((await reset.lateOf(outcome.backupId)) !== undefined) late++
      }
    } finally {
      await Promise.all(writers.map((writer) => writer.stop()))
    }
    for (const backupId of backups.slice(-2)) {
      await reset.succeed({
        ...{ operation: 'restore', backupId, confirm: environment, targets: ['database'], rehearse: false },
        safetyBackup: false,
      })
      expect(await inTables()).toEqual(await inBackup(backupId))
    }
    const written = writers.reduce((sum, writer) => sum + writer.written, 0)
    tried('nights with writers', { rounds: counted, written, taken, again, late })
    expect(taken).toBeGreaterThan(1000)
  },
)
