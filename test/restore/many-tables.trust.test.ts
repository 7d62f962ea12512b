import { expect, it } from 'vitest'
import { environment, useResetStack } from '../e2e/reset-stack.ts'
import { rounds, tried } from '../support/trust.ts'

const reset = useResetStack()

/** Each with a primary key and a TOAST table: four locks. */
const tables = rounds({ short: 25, full: 1000 })

it(`a database of ${tables} tables is rehearsed, wiped and restored`, async () => {
  await reset.seed({ users: 2, files: 1, keys: 1 })
  await reset.stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  for (let start = 1; start <= tables; start += 250) {
    await reset.stack.sql.query(`DO $$ BEGIN FOR i IN ${start}..${Math.min(tables, start + 249)} LOOP
      EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, x text); INSERT INTO t%s VALUES (1, %L)', i, i, 'row ' || i);
      END LOOP; END $$`)
  }
  const before = await reset.fingerprint()
  const started = performance.now()
  const { backupId } = await reset.succeed({
    ...{ operation: 'reset', strategy: 'database-only', confirm: environment, rehearse: true },
  })
  expect(Object.values(await reset.rows()).reduce((sum, rows) => sum + rows, 0)).toBe(0)
  const wiped = performance.now()
  await reset.succeed({ operation: 'restore', backupId, confirm: environment, rehearse: false })
  expect(await reset.fingerprint()).toEqual(before)
  const scratch = await reset.stack.admin.query(
    `SELECT FROM pg_namespace WHERE nspname LIKE 'taskmaster_scratch_%'`,
  )
  expect(scratch.rowCount).toBe(0)
  const seconds = (from: number, to: number) => Math.round((to - from) / 1000)
  tried('many tables', {
    tables,
    resetSeconds: seconds(started, wiped),
    restoreSeconds: seconds(wiped, performance.now()),
  })
})
