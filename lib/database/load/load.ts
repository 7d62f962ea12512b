import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { from as copyFrom } from 'pg-copy-streams'
import { agreeing, counted } from '../../amounts.ts'
import { readPartChunks } from '../../backup/part/read.ts'
import type { TableDefinition } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged, messageOf, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
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

/** Connections that load parts side by side, one for so many bytes as they lie in S3. */
const limits = { connections: 2, bytesEach: 4 * 2 ** 20 }

/** Bytes that one COPY sends before it waits: a WebSocket has no back-pressure, so this bounds what is under way. */
const copyBytes = 4 * 2 ** 20

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
 * @see docs/decisions.md#one-temporary-table-per-connection
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
    for (const connection of connections)
      await connection.query('CREATE TEMP TABLE lines (line text) ON COMMIT DELETE ROWS')
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
    try {
      await copyLines(connection, readPartChunks(bucket, key, part))
    } catch (cause) {
      throw damage(bucket, key, cause)
    }
    try {
      await insertRows(connection, { runId, loadable, live })
    } catch (cause) {
      throw misfit(bucket, key, loadable, cause)
    }
  }
  await connection.query('COMMIT')
}

/** Sends whole lines by COPY, some megabytes at a time. */
async function copyLines(connection: Connection, chunks: AsyncIterable<Buffer>): Promise<void> {
  let pending: Buffer[] = []
  let bytes = 0
  const flush = async (last: Buffer) => {
    // These delimiters cannot occur: JSON has no raw control characters, and lines end with 0x0A alone.
    const copy = copyFrom(
      `COPY pg_temp.lines FROM STDIN (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ESCAPE E'\\x01')`,
    )
    // biome-ignore lint/suspicious/noExplicitAny: the two packages' types of a submittable differ; it runs on both
    const stream = connection.query(copy as any) as unknown as NodeJS.WritableStream
    const pieces = [...pending, last]
    pending = []
    await pipeline(paced(connection, pieces), stream)
    bytes = 0
  }
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(0x0a) + 1
    if (bytes + chunk.length >= copyBytes && end > 0) {
      await flush(chunk.subarray(0, end))
      pending = [chunk.subarray(end)]
    } else pending.push(chunk)
    bytes += pending.at(-1)?.length ?? 0
  }
  if (pending.length > 0) await flush(Buffer.alloc(0))
}

/** Gives each piece when what was sent before has left: else a row of 20 MB would lie in memory several times. */
async function* paced(connection: Connection, pieces: Buffer[]): AsyncGenerator<Buffer> {
  const { stream } = (
    connection as unknown as { connection: { stream?: { ws?: { bufferedAmount?: number } } } }
  ).connection
  for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
    yield piece
    while ((stream?.ws?.bufferedAmount ?? 0) > 2 ** 20) await setTimeout(1)
  }
}

async function insertRows(
  connection: Connection,
  { runId, loadable, live }: { runId: string; loadable: LoadablePart; live: Table },
): Promise<void> {
  const { table, part } = loadable
  const scratch = scratchTableOf(runId, table)
  const { columns } = table
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
  const inserted =
    columns.length === 0
      ? await connection.query(`INSERT INTO ${qualified(scratch)} SELECT FROM pg_temp.lines`)
      : await connection.query(
          `INSERT INTO ${qualified(scratch)} (${names}) SELECT ${values}
           FROM pg_temp.lines, json_to_record(line::json) AS v (${shape})`,
        )
  if (inserted.rowCount === part.rows) return
  throw new BackupDamaged(
    `${counted(inserted.rowCount ?? 0, 'row')} ${agreeing(inserted.rowCount ?? 0, 'was', 'were')} loaded from the part ${part.key}, but the manifest says ${part.rows}`,
  )
}

/** What Postgres says of a damaged line does not name the object; our own errors do. */
function damage(bucket: Bucket, key: string, cause: unknown): unknown {
  if (!isRefusal(cause)) return cause
  return new BackupDamaged(
    `s3://${bucket.name}/${key} cannot be loaded: ${messageOf(cause)}. The live tables were not touched; use another backup`,
    { cause },
  )
}

/** The object was checked by then, so what does not take its rows are the live types: an enum, a domain, a column. */
function misfit(bucket: Bucket, key: string, { table }: LoadablePart, cause: unknown): unknown {
  if (!isRefusal(cause)) return cause
  return new SchemaChanged(
    `A table like ${table.name} does not take the rows of s3://${bucket.name}/${key}, whose bytes are those that were backed up: ${messageOf(cause)}. The live tables were not touched; bring the type or the column back to what it was`,
    { cause },
  )
}

/** Class 22 is what a value does not fit, 23 what a constraint refuses, 42 what the table no longer has. */
function isRefusal(cause: unknown): boolean {
  return /^(22|23|42)/.test(sqlStateOf(cause) ?? '')
}
