import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { BackedUpTable, TablePart } from '../../lib/backup/sections/database.ts'
import { addFingerprints, type FingerprintFormat } from '../../lib/backup/sections/fingerprint.ts'
import { mergeLate } from '../../lib/backup/sections/merge-tables.ts'
import { fingerprintOf, linesOf, rowsOf } from '../../lib/database/rows.ts'
import { useDatabase } from './database-stack.ts'

const database = useDatabase()
const table = {
  schema: 'app',
  table: 't',
  columns: [
    { name: 'id', type: 'integer', asText: false },
    { name: 'doc', type: 'jsonb', asText: true },
  ],
}

beforeAll(async () => {
  await database.sql.query(`CREATE SCHEMA app; CREATE TABLE app.t (id int, doc jsonb);
    INSERT INTO app.t SELECT g, jsonb_build_object('n', g) FROM generate_series(1, 20000) g; ANALYZE app.t`)
})

async function planOf(query: string): Promise<string> {
  const answer = await database.sql.query(`EXPLAIN (COSTS OFF) ${query}`)
  return answer.rows.map((row) => row['QUERY PLAN']).join('\n')
}

describe.each<FingerprintFormat>([{ version: 1 }, { version: 2, seed: '-7' }])(
  'fingerprints of version $version',
  (format) => {
    it('of page ranges add up to the one of the whole table, wherever it is cut', async () => {
      const fingerprint = async (from: string) =>
        (await database.sql.query(fingerprintOf(from, format))).rows[0]
      const whole = await fingerprint(rowsOf(table, format))
      const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { maxLength: 5 })
      await fc.assert(
        fc.asyncProperty(cuts, async (pages) => {
          const ends = [0, ...pages.sort((a, b) => a - b)]
          const parts: { rows: string; fingerprint: string }[] = []
          for (const [index, from] of ends.entries()) {
            parts.push(await fingerprint(rowsOf(table, format, { from, to: ends[index + 1] ?? null })))
          }
          expect(addFingerprints(parts.map((part) => part.fingerprint))).toBe(whole.fingerprint)
          expect(parts.reduce((sum, { rows }) => sum + Number(rows), 0)).toBe(20000)
        }),
        { numRuns: 15 },
      )
    })

    it('tell tables apart that differ in one value, one row, or one row twice', async () => {
      const answer = await database.sql.query(fingerprintOf(rowsOf(table, format), format))
      for (const change of [
        `UPDATE app.t SET doc = '{"n": 1.0}' WHERE id = 1`,
        'DELETE FROM app.t WHERE id = 1',
        'UPDATE app.t SET id = 2, doc = (SELECT doc FROM app.t WHERE id = 2) WHERE id = 1',
        `UPDATE app.t SET doc = 'null' WHERE id = 1`,
        'UPDATE app.t SET doc = NULL WHERE id = 1',
      ]) {
        await database.sql.query(`BEGIN; ${change}`)
        const changed = await database.sql.query(fingerprintOf(rowsOf(table, format), format))
        await database.sql.query('ROLLBACK')
        expect(changed.rows[0].fingerprint).not.toBe(answer.rows[0].fingerprint)
      }
    })

    it('of a whole table are made by parallel workers, those of a page range by reading only its pages', async () => {
      await database.sql.query('SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0')
      expect(await planOf(fingerprintOf(rowsOf(table, format), format))).toContain('Parallel Seq Scan')
      expect(await planOf(fingerprintOf(rowsOf(table, format, { from: 5, to: 9 }), format))).toContain(
        'Tid Range Scan',
      )
      expect(
        await planOf(`SELECT * FROM ${linesOf(rowsOf(table, format, { from: 5, to: null }))}`),
      ).toContain('Tid Range Scan')
      await database.sql.query('RESET parallel_setup_cost; RESET min_parallel_table_scan_size')
    })
  },
)

it('fingerprints are added exactly, far beyond 64 bits', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n })), (values) => {
      const sum = values.reduce((total, value) => total + value, 0n)
      expect(addFingerprints(values.map(String))).toBe(String(sum))
    }),
  )
})

describe('late parts', () => {
  const part = (shard: number, rows: number, fingerprint: string): TablePart => ({
    ...{ shard, pages: { from: shard, to: shard + 1 }, rows, fingerprint },
    ...{ key: `${shard}`, bytes: 1, sha256: 'a'.repeat(64) },
  })
  const backedUp = (name: string, parts: TablePart[]): BackedUpTable => ({
    ...{ name, schema: 'app', table: name, oid: 1, columns: [], parts },
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    fingerprint: addFingerprints(parts.map(({ fingerprint }) => fingerprint)),
  })
  const before = [
    backedUp('app.a', [part(0, 5, '10'), part(1, 6, '-20')]),
    backedUp('app.b', [part(0, 1, '7')]),
  ]

  it('take the place of those with their number, and totals follow', () => {
    const [a, b] = mergeLate(before, [{ name: 'app.a', parts: [part(1, 4, '99')] }])
    expect(a).toMatchObject({ rows: 9, fingerprint: '109', parts: [before[0]?.parts[0], part(1, 4, '99')] })
    expect(b).toBe(before[1])
  })

  it('of tables that the backup does not hold change nothing', () => {
    expect(mergeLate(before, [{ name: 'app.c', parts: [part(0, 4, '99')] }])).toEqual(before)
    expect(mergeLate(before, [])).toEqual(before)
  })
})
