import { handler as compare } from '../../functions/compare.ts'
import { handler as exportBatch } from '../../functions/export.ts'
import { handler as load } from '../../functions/load.ts'
import { handler as restore } from '../../functions/restore.ts'
import { handler as wipe } from '../../functions/wipe.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import type { FreshStack } from '../support/stack.ts'
import type { Conforming } from './conform.ts'

/** Two tables, of which one is preserved and holds what the other refers to, and one in a schema that is not managed. */
export function databaseOf(stack: () => FreshStack): Conforming<'database'> {
  const query = async (text: string, values: unknown[] = []) => (await stack().sql.query(text, values)).rows
  const target = 'database'
  return {
    name: target,
    async fill() {
      await query(`
        DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS elsewhere CASCADE;
        CREATE TABLE plans (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE users (id serial PRIMARY KEY, plan int NOT NULL REFERENCES plans, settings jsonb);
        INSERT INTO plans SELECT i, 'plan ' || i FROM generate_series(1, 3) i;
        INSERT INTO users (plan, settings) SELECT 1 + i % 3, '{"n": 12345678901234567890}' FROM generate_series(1, 40) i;
        CREATE SCHEMA elsewhere;
        CREATE TABLE elsewhere.others AS SELECT i FROM generate_series(1, 3) i`)
    },
    empty: async () => void (await query('TRUNCATE users, plans RESTART IDENTITY')),
    async add() {
      await query(`INSERT INTO plans VALUES (100, 'later')`)
      return 'plans 100'
    },
    async things() {
      const rows = await query(`
        SELECT 'plans ' || id AS name, row_to_json(plans)::text AS value FROM plans
        UNION ALL SELECT 'users ' || id, row_to_json(users)::text FROM users ORDER BY 1`)
      return new Map(rows.map(({ name, value }) => [name, value]))
    },
    besides: () => query('SELECT last_value, is_called FROM users_id_seq'),
    outside: () => query('SELECT * FROM elsewhere.others ORDER BY i'),
    preserve: { tables: ['plans'], files: [], keys: [] },
    isPreserved: (name) => name.startsWith('plans '),
    async remark(name) {
      await stack().admin.query('DELETE FROM taskmaster_reset.environment')
      if (name !== null)
        await stack().admin.query(
          'INSERT INTO taskmaster_reset.environment (name, protected) VALUES ($1, false)',
          [name],
        )
    },
    keepsLater: false, // a restore replaces the rows of whole tables
    found: ({ tables }) => ({
      all: tables.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      preserved: tables.reduce((sum, { keptRows }) => sum + keptRows, 0),
    }),
    counted: ({ rows }) => rows,
    steps: {
      backUp({ runId, attempt, rehearse, reconcile, batches }) {
        const run = { runId, attempt }
        const purpose = 'rehearse'
        return [
          ...batches.database.map((batch) => ({ handler: exportBatch, input: { ...run, target, batch } })),
          ...(reconcile ? [{ handler: exportBatch, input: { ...run, target, purpose: 'reconcile' } }] : []),
          ...(rehearse
            ? [
                ...batches.database.map((batch) => ({ handler: load, input: { ...run, purpose, batch } })),
                { handler: compare, input: { ...run, purpose } },
              ]
            : []),
        ]
      },
      wipe: ({ runId, attempt }) => [{ handler: wipe, input: { runId, attempt, target } }],
      restore({ runId, attempt, batches }) {
        const run = { runId, attempt }
        const purpose = 'restore'
        return [
          ...batches.load.map((batch) => ({ handler: load, input: { ...run, purpose, batch } })),
          { handler: compare, input: { ...run, purpose } },
          { handler: restore, input: { ...run, target } },
        ]
      },
    },
    /** Its steps are one transaction each: somebody holds a row, and does not give it up. */
    async obstruct(step) {
      await query('BEGIN')
      await query('SELECT FROM users FOR UPDATE')
      try {
        return await withVariables({ LOCK_TIMEOUT_MS: '100' }, () =>
          step().then(
            () => null,
            (error) => error,
          ),
        )
      } finally {
        await query('ROLLBACK')
      }
    },
  }
}
