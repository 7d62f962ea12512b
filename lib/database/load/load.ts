import { agreeing, counted } from '../../amounts.ts'
import { readPartChunks } from '../../backup/part/read.ts'
import type { TableDefinition } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { BackupDamaged, messageOf, RehearsalFailed, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { quote } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { acrossVersions } from '../../postgres/version.ts'
import { withConnections } from '../../postgres/with-connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { readTables, type Tables } from '../catalog/tables.ts'
import { copyIn } from '../copy/copy-in.ts'
import { copyTextOf, NotARow } from '../copy/copy-text.ts'
import type { LoadablePart } from '../parts/load-batches.ts'
import { ensureScratch } from '../scratch/create.ts'
import { noteOf, scratchSchemaOf, scratchTableOf } from '../scratch/schema.ts'
import { linesOfPart } from './part-lines.ts'

/** Connections that load parts side by side, one for so many bytes as they lie in S3. */
const limits = { connections: 2, bytesEach: 4 * 2 ** 20 }

type PartsToLoad = {
  runId: string
  parts: readonly LoadablePart[]
  /** The version of the server that wrote them; null, or absent: this one. */
  wroteBy?: string | null
  /** Throws when the live tables are not those of the parts. */
  check: (tables: readonly TableDefinition[], live: Tables) => void
  /** What of them is to be loaded; absent: all. */
  choose?: (connection: Connection, live: Tables) => Promise<readonly LoadablePart[]>
}

/**
 * Loads parts of a backup into the run's scratch schema, each in a transaction that also notes it, so that a repeat does
 * not double rows. The bytes are checked against the manifest's SHA-256 while they stream.
 * @throws BackupDamaged and SchemaChanged naming the object, RehearsalFailed the table, and what `check` throws
 * @see docs/decisions.md#lines-become-copys-text-on-their-way
 */
export async function loadParts(
  clients: Clients,
  { runId, parts: asked, wroteBy = null, check, choose }: PartsToLoad,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const bucket = clients.backups
  const tables = [...new Map(asked.map(({ table }) => [table.name, table])).values()]
  const sizes = asked.map(({ part }) => part)
  await withConnections(clients, connectionsFor(sizes, limits), async (connections) => {
    const leader = connections[0] as Connection
    // Read here and not by Count alone: another could have put another manifest in the place of the one that Count read.
    const catalog = await readTables(leader, clients.config.DATABASE_SCHEMAS)
    check(tables, catalog)
    await ensureScratch(leader, { runId, tables })
    const parts = choose === undefined ? asked : await choose(leader, catalog)
    let done = 0
    // A large one that comes last would be loaded by one connection while the others have nothing left to do.
    const largestFirst = parts.toSorted((one, other) => other.part.bytes - one.part.bytes)
    await shareOut(connections, largestFirst, async (connection, part) => {
      try {
        await loadPart(connection, bucket, { runId, loadable: part })
      } catch (error) {
        throw acrossVersions(error, { wroteBy, server: catalog.serverVersion })
      }
      await progress(++done, parts.length)
    })
  })
}

async function loadPart(
  connection: Connection,
  bucket: Bucket,
  { runId, loadable }: { runId: string; loadable: LoadablePart },
): Promise<void> {
  const { part, table } = loadable
  if (part.key === null || part.sha256 === null) return
  const { key } = part
  await connection.query(`BEGIN; ${ownSearchPath}`)
  const scratch = quote(scratchSchemaOf(runId))
  // Frames are loaded into no table that is not noted for them, or has the part: who chose them may be of an earlier attempt.
  const noted = await connection.query(
    loadable.frames === undefined
      ? `INSERT INTO ${scratch}.loaded VALUES ($1) ON CONFLICT DO NOTHING RETURNING key`
      : `INSERT INTO ${scratch}.loaded SELECT $1 WHERE EXISTS (SELECT FROM ${scratch}.spared WHERE name = $2 AND how = 'differing')
           AND NOT EXISTS (SELECT FROM ${scratch}.loaded WHERE key = $3) ON CONFLICT DO NOTHING RETURNING key`,
    [noteOf({ key, frames: loadable.frames }), ...(loadable.frames === undefined ? [] : [table.name, key])],
  )
  if (noted.rows.length > 0) {
    const expected = await linesOfPart(bucket, { ...loadable, part: { ...part, key } })
    const text = copyTextOf(expected.lines, table.columns)
    const rows = await copyIn(connection, scratchTableOf(runId, table), text).catch(
      async (cause: unknown) => {
        throw await explain(bucket, key, loadable, cause)
      },
    )
    if (expected.rows !== null && rows !== expected.rows) {
      throw new BackupDamaged(
        `${counted(rows, 'row')} ${agreeing(rows, 'was', 'were')} loaded from the part ${key}, but the manifest says ${expected.rows}`,
      )
    }
  }
  await connection.query('COMMIT')
}

/**
 * What Postgres or the lines say does not name the object; our own errors do. Rows are sent before the last byte was
 * checked: when all bytes are those of the manifest, what does not take them are the live types (an enum, a domain).
 */
async function explain(
  bucket: Bucket,
  key: string,
  { table, part }: LoadablePart,
  cause: unknown,
): Promise<unknown> {
  if (cause instanceof NotARow) return damage(bucket, key, cause)
  // Text may be longer than the type that it is the text of.
  if (sqlStateOf(cause) === '54000')
    return new RehearsalFailed(
      `A row of ${table.name} does not fit a page of its copy, which holds values of domains and composite types as text (${messageOf(cause)}). The live tables were not touched; give the table fewer columns of such types, or exclude it`,
      { cause },
    )
  // Class 22 is what a value does not fit, 23 what a constraint refuses, 42 what the table no longer has.
  if (!/^(22|23|42)/.test(sqlStateOf(cause) ?? '')) return cause
  try {
    for await (const text of copyTextOf(readPartChunks(bucket, key, part), table.columns))
      if (text.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a))
        throw new NotARow('it has raw control characters, which JSON has not')
  } catch (damaged) {
    return damaged instanceof NotARow ? damage(bucket, key, damaged) : damaged
  }
  return new SchemaChanged(
    `A table like ${table.name} does not take the rows of s3://${bucket.name}/${key}, whose bytes are those that were backed up: ${messageOf(cause)}. The live tables were not touched; bring the type or the column back to what it was`,
    { cause },
  )
}

function damage(bucket: Bucket, key: string, cause: NotARow): BackupDamaged {
  return new BackupDamaged(
    `s3://${bucket.name}/${key} cannot be loaded: ${cause.message}. The live tables were not touched; use another backup`,
    { cause },
  )
}
