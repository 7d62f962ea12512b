import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { putJson } from '../../lib/backup/documents/write.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { writePart } from '../../lib/backup/part/write.ts'
import { readExported } from '../../lib/database/export/results.ts'
import { scratchTableOf } from '../../lib/database/scratch/schema.ts'
import { qualified } from '../../lib/postgres/identifiers.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { planReset, useDatabase } from '../database/database-stack.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull } from '../support/trust.ts'

const database = useDatabase()
const load = useBundledChild(new URL('./load-child.ts', import.meta.url))

/**
 * All of the large rows together, with what the process takes without them, are more than the limit. They do not compress to
 * nothing, so that two connections load them side by side, and have lines, as documents have. Node lets buffers lie that
 * nobody holds any more, the more the busier the machine: the same load took 231 MiB alone, and 295 beside others.
 */
const rowsOf = { fat: 10, also_fat: 10, thin: 60_000 }
const limitMiB = 384
const document = () => randomBytes(10_400_000).toString('hex').replace(/.{70}/g, '$&\\n')
const textOf = { fat: document(), also_fat: document(), thin: '0123456789abcdef' }

it.runIf(isFull)(
  `a load stays below ${limitMiB} MiB, with rows of 20 MB and with many small ones ${inFullForm}`,
  async () => {
    const { sql, clients, storage } = database
    await sql.query(
      Object.keys(rowsOf)
        .map((name) => `DROP TABLE IF EXISTS ${name}; CREATE TABLE ${name} (id int, text text)`)
        .join(';'),
    )
    const plan = await planReset(clients)
    // Written here and not exported: Postgres would take longer to make such rows and to send them than the load takes.
    const parts = [await write(plan, 'fat'), await write(plan, 'also_fat'), await write(plan, 'thin')]
    const result = { batch: 0, snapshotAt: new Date().toISOString(), parts, sequences: [] }
    await putJson(storage, workKeys(plan).databaseResult(0), result)

    const { peakMiB } = await load([plan.runId])
    console.log(`Peak memory of a load: ${peakMiB} MiB.`)
    for (const table of (await readExported(storage, databaseOf(plan))).tables) {
      const name = table.table as keyof typeof rowsOf
      const loaded = await sql.query(
        `SELECT count(*)::int AS rows, sum(id)::int AS ids, bool_and(text = replace($1, '\\n', E'\\n') || id) AS same
       FROM ${qualified(scratchTableOf(plan.runId, table))}`,
        [textOf[name]],
      )
      const rows = rowsOf[name]
      expect(loaded.rows, name).toEqual([{ rows, ids: (rows * (rows + 1)) / 2, same: true }])
    }
    expect(peakMiB).toBeLessThan(limitMiB)
  },
)

/** A part as an export would have left it, with lines of one text that ends with their number. */
async function write({ backupId }: Plan, name: keyof typeof rowsOf) {
  const { storage, clients } = database
  const table = `public.${name}`
  async function* lines(): AsyncGenerator<Buffer> {
    let some = ''
    for (let id = 1; id <= rowsOf[name]; id++) {
      some += `{"id":${id},"text":"${textOf[name]}${id}"}\n`
      if (some.length < 2 ** 20 && id < rowsOf[name]) continue
      yield Buffer.from(some)
      some = ''
    }
  }
  const keys = backupKeys(clients.config.BACKUP_PREFIX, backupId ?? '')
  const written = await writePart(storage, (copy) => keys.tablePart(table, 0, copy), lines)
  if (written === null) throw new Error(`The part of ${name} is empty.`)
  return { table, shard: 0, pages: { from: 0, to: null }, rows: rowsOf[name], fingerprint: '0', ...written }
}
