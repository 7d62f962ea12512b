import { agreeing, counted } from '../../amounts.ts'
import { readPartChunks } from '../../backup/part/read.ts'
import type { TableDefinition } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged, messageOf, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { executeWithBytes } from '../../postgres/execute-with-bytes.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { withConnections } from '../../postgres/with-connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Table } from '../catalog/table.ts'
import { readTables, type Tables } from '../catalog/tables.ts'
import type { LoadablePart } from '../parts/load-batches.ts'
import { ensureScratch } from '../scratch/create.ts'
import { isHeldAsText, scratchSchemaOf, scratchTableOf } from '../scratch/schema.ts'
import { rowArrays } from './row-arrays.ts'

/** Connections that load parts side by side, one for so many bytes as they lie in S3. */
const limits = { connections: 2, bytesEach: 4 * 2 ** 20 }

type PartsToLoad = {
  runId: string
  parts: readonly LoadablePart[]
  /** Throws when the live tables are not those of the parts. */
  check: (tables: readonly TableDefinition[], live: Tables) => void
}

/**
 * Loads parts of a backup into the run's scratch schema, each in a transaction that also notes it, so that a repeat does
 * not double rows. The bytes are checked against the manifest's SHA-256 while they stream.
 * @throws BackupDamaged naming the object, and what `check` throws
 * @see docs/decisions.md#rows-are-loaded-as-parameters
 */
export async function loadParts(
  clients: Clients,
  { runId, parts, check }: PartsToLoad,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const bucket = clients.backups
  const tables = [...new Map(parts.map(({ table }) => [table.name, table])).values()]
  const sizes = parts.map(({ part }) => part)
  await withConnections(clients, connectionsFor(sizes, limits), async (connections) => {
    const leader = connections[0] as Connection
    // Read here and not by Count alone: another could have put another manifest in the place of the one that Count read.
    const catalog = await readTables(leader, clients.config.DATABASE_SCHEMAS)
    check(tables, catalog)
    const live = new Map(catalog.tables.map((table) => [table.name, table]))
    await ensureScratch(leader, { runId, tables })
    let done = 0
    await shareOut(connections, parts, async (connection, part) => {
      await loadPart(connection, bucket, { runId, loadable: part, live: live.get(part.table.name) as Table })
      await progress(++done, parts.length)
    })
  })
}

async function loadPart(
  connection: Connection,
  bucket: Bucket,
  { runId, loadable, live }: { runId: string; loadable: LoadablePart; live: Table },
): Promise<void> {
  const { part } = loadable
  if (part.key === null || part.sha256 === null) return
  const { key } = part
  await connection.query(`BEGIN; ${ownSearchPath}`)
  const noted = await connection.query(
    `INSERT INTO ${quote(scratchSchemaOf(runId))}.loaded VALUES ($1) ON CONFLICT DO NOTHING RETURNING key`,
    [key],
  )
  if (noted.rows.length > 0) {
    const chunks = readPartChunks(bucket, key, part)
    try {
      const rows = await insertRows(connection, insertOf(runId, loadable.table, live), chunks)
      if (rows !== part.rows) throw wrongCount(part, rows)
    } catch (cause) {
      if (sqlStateOf(cause) === notInEncoding) throw damage(bucket, key, cause)
      if (!isRefusal(cause)) throw cause
      await readWhole(readPartChunks(bucket, key, part))
      throw misfit(bucket, key, loadable, cause)
    }
  }
  await connection.query('COMMIT')
}

/** Rows are sent while the server is at work on those before them. @returns how many were inserted */
async function insertRows(
  connection: Connection,
  insert: string,
  chunks: AsyncIterable<Buffer>,
): Promise<number> {
  let rows = 0
  let inserting = Promise.resolve(0)
  try {
    for await (const array of rowArrays(chunks)) {
      rows += await inserting
      inserting = executeWithBytes(connection, insert, array)
      inserting.catch(() => {}) // it is awaited when the next rows are there
    }
    return rows + (await inserting)
  } finally {
    await Promise.allSettled([inserting]) // what the chunks ended with is the reason, not what became of the last rows
  }
}

function insertOf(runId: string, table: TableDefinition, live: Table): string {
  const scratch = scratchTableOf(runId, table)
  const { columns } = table
  if (columns.length === 0)
    return `INSERT INTO ${qualified(scratch)} SELECT FROM pg_catalog.json_array_elements($1)`
  // From the live catalog: what a manifest says of types is only compared, never put into SQL.
  const typeOf = new Map(live.columns.map(({ name, type }) => [name, type]))
  const names = columns.map(({ name }) => quote(name)).join(', ')
  const values = columns
    .map((column) => {
      const isCast = column.asText && !isHeldAsText(column)
      return `v.${quote(column.name)}${isCast ? `::${typeOf.get(column.name)}` : ''}`
    })
    .join(', ')
  const shape = columns
    .map(({ name, asText }) => `${quote(name)} ${asText ? 'text' : typeOf.get(name)}`)
    .join(', ')
  return `INSERT INTO ${qualified(scratch)} (${names}) SELECT ${values} FROM pg_catalog.json_to_recordset($1) AS v (${shape})`
}

/** Its bytes have the manifest's digest. @throws BackupDamaged */
async function readWhole(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of chunks);
}

function wrongCount({ key, rows }: LoadablePart['part'], inserted: number): BackupDamaged {
  return new BackupDamaged(
    `${counted(inserted, 'row')} ${agreeing(inserted, 'was', 'were')} loaded from the part ${key}, but the manifest says ${rows}`,
  )
}

/** What Postgres says of such bytes does not name the object. */
function damage(bucket: Bucket, key: string, cause: unknown): BackupDamaged {
  return new BackupDamaged(
    `s3://${bucket.name}/${key} cannot be loaded: ${messageOf(cause)}. The live tables were not touched; use another backup`,
    { cause },
  )
}

/** The object was checked by then, so what does not take its rows are the live types: an enum, a domain, a column. */
function misfit(bucket: Bucket, key: string, { table }: LoadablePart, cause: unknown): SchemaChanged {
  return new SchemaChanged(
    `A table like ${table.name} does not take the rows of s3://${bucket.name}/${key}, whose bytes are those that were backed up: ${messageOf(cause)}. The live tables were not touched; bring the type or the column back to what it was`,
    { cause },
  )
}

/** Bytes that are no text; those that an export has written are. */
const notInEncoding = '22021'

/** Class 22 is what a value does not fit, 23 what a constraint refuses, 42 what the table no longer has. */
function isRefusal(cause: unknown): boolean {
  return /^(22|23|42)/.test(sqlStateOf(cause) ?? '')
}
