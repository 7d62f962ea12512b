import { createHash } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { backupKeys, rangesKeyOf } from '../../lib/backup/layout.ts'
import type { Late, Manifest } from '../../lib/backup/manifest.ts'
import { encodeRanges } from '../../lib/backup/ranges/sidecar.ts'
import type { BackedUpTable, TablePart } from '../../lib/backup/sections/database.ts'
import type { CopiedFile } from '../../lib/backup/sections/files.ts'
import { compareKeys } from '../../lib/s3/key-order.ts'
import { type Objects, prefix } from './real-backups.ts'

export const sampleId = '2026-11-22T19-05-33Z-3f9a2c'

type Contents = {
  /** Rows of each shard, by table. */
  tables: Record<string, number[]>
  files: Record<string, string>
  /** The `part` of each line of the cache, as a large value has it; undefined is a key of its own. */
  cacheLines: (number | undefined)[]
  /** Whether the parts of tables have ranges, of five pages: one for the first row, one for the others. */
  ranged: boolean
}
type About = Pick<Manifest, 'backupId' | 'environment' | 'strategy' | 'sealedAt' | 'rehearsedAt' | 'imported'>

const defaults: Contents & About = {
  tables: { 'public.users': [3, 0, 2], 'public.worlds': [4] },
  files: { 'a.txt': 'one', 'b/c.txt': 'two' },
  cacheLines: [undefined, 1, 2, undefined],
  ranged: false,
  backupId: sampleId,
  environment: 'local',
  strategy: 'full',
  sealedAt: '2026-11-22T19:06:00.000Z',
  rehearsedAt: null,
}

/** A backup written by hand, consistent, of any shape: a real one needs gigabytes to have two shards of a table. */
export function sampleBackup(options: Partial<Contents & About> = {}) {
  const { tables, files, cacheLines, ranged, ...about } = { ...defaults, ...options }
  const { backupId } = about
  const keys = backupKeys(prefix, backupId)
  const objects: Objects = new Map()
  const manifest: Manifest = {
    version: 2,
    ...about,
    runId: 'run-1',
    toolVersion: '0.1.0',
    startedAt: about.sealedAt,
    readBackAt: about.sealedAt,
    database: databaseOf(Object.entries(tables)),
    files: filesOf(Object.entries(files)),
    cache: cacheOf(),
    preserved: { tables: [], rows: {}, files: [], keys: [] },
    warnings: [],
  }
  const write = () => objects.set(keys.manifest, json(manifest))
  write()
  return { backupId, keys, objects, manifest, write, put, addLate }

  /** Writes a `late-<n>.json` and its parts: table, shard and its rows. */
  function addLate(attempt: number, replaced: [string, number, number][], edit: Partial<Late> = {}): Late {
    const partOf = (name: string, shard: number, rows: number) =>
      part({ shard, of: tables[name]?.length ?? 1, rows, key: keys.latePart(name, shard, attempt, 1) })
    const late: Late = {
      version: 2,
      backupId,
      attempt,
      writtenAt: about.sealedAt,
      tables: [...Map.groupBy(replaced, ([name]) => name)].map(([name, some]) => ({
        name,
        parts: some.map(([, shard, rows]) => partOf(name, shard, rows)),
      })),
      sequences: [sequenceAt(50 + attempt)],
      ...edit,
    }
    objects.set(keys.late(attempt), json(late))
    return late
  }

  function databaseOf(entries: [string, number[]][]): Manifest['database'] {
    const backedUp = entries.map(([name, shards], at): BackedUpTable => {
      const [schema = '', table = ''] = name.split('.')
      const parts = shards.map((rows, shard) =>
        part({ shard, of: shards.length, rows, key: keys.tablePart(name, shard, 1) }),
      )
      const fingerprint = String(sum(shards) * 1_000_003)
      return { name, schema, table, oid: at + 1, columns: [], rows: sum(shards), fingerprint, parts }
    })
    return {
      serverVersion: '18.4',
      consistency: 'snapshot',
      seed: '-1',
      rows: sum(backedUp.map(({ rows }) => rows)),
      bytes: sum(backedUp.flatMap(({ parts }) => parts).map(({ bytes }) => bytes)),
      tables: backedUp,
      sequences: [sequenceAt(5)],
    }
  }

  function part({
    shard,
    of,
    rows,
    key,
  }: {
    shard: number
    of: number
    rows: number
    key: string
  }): TablePart {
    const pages = { from: shard * 10, to: shard === of - 1 ? null : shard * 10 + 10 }
    const about = { shard, pages, rows, fingerprint: String(rows * 1_000_003) }
    if (rows === 0) return { ...about, key: null, bytes: 0, sha256: null }
    const lines = Array.from({ length: rows }, (_, row) => ({ id: shard * 1000 + row }))
    if (!ranged) return { ...about, ...put(key, lines) }
    const parts = [lines.slice(0, 1), lines.slice(1)]
    const frames = parts.map((some) =>
      some.length === 0 ? Buffer.alloc(0) : zstdCompressSync(Buffer.concat(some.map(json))),
    )
    const hashes = Buffer.alloc(8 * rows)
    for (let row = 0; row < rows; row++) hashes.writeBigInt64BE(1_000_003n, 8 * row)
    const head = encodeRanges(
      parts.map((some, index) => ({
        rows: some.length,
        length: frames[index]?.length ?? 0,
        fingerprint: String(some.length * 1_000_003),
      })),
    )
    const { key: _, ...sidecar } = putBytes(rangesKeyOf(key), Buffer.concat([head, hashes]))
    return { ...about, ...putBytes(key, Buffer.concat(frames)), ranges: { pages: 5, count: 2, ...sidecar } }
  }

  function filesOf(entries: [string, string][]): Manifest['files'] {
    const copied = entries
      .map(([key, content]): CopiedFile => {
        const body = Buffer.from(content)
        objects.set(keys.file(key), body)
        const etag = `"${createHash('md5').update(body).digest('hex')}"`
        return { key, size: body.length, etag, copyEtag: etag }
      })
      .sort((a, b) => compareKeys(a.key, b.key))
    const index = copied.length === 0 ? null : put(keys.filesIndex(), copied)
    const bytes = sum(copied.map(({ size }) => size))
    return { prefix: 'generated_stories/', objects: copied.length, bytes, vanished: 0, index }
  }

  function cacheOf(): Manifest['cache'] {
    if (cacheLines.length === 0) return { prefix: '*', keys: 0, parts: [] }
    const begins = cacheLines.filter((number = 1) => number === 1).length
    const lines = cacheLines.map((number) => ({ key: 'k', type: 'string', part: number, value: 'v' }))
    return { prefix: '*', keys: begins, parts: [{ keys: begins, ...put(keys.cachePart(0, 1), lines) }] }
  }

  /** Writes lines as a compressed object, and says of it what a manifest does. */
  function put(key: string, lines: readonly unknown[]): { key: string; bytes: number; sha256: string } {
    return putBytes(key, zstdCompressSync(Buffer.concat(lines.map(json))))
  }

  function putBytes(key: string, bytes: Buffer): { key: string; bytes: number; sha256: string } {
    objects.set(key, bytes)
    return { key, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
}

export function json(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

function sequenceAt(position: number): Late['sequences'][number] {
  return { name: 'public.s', schema: 'public', sequence: 's', lastValue: `${position}`, isCalled: true }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
