import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { isDeepStrictEqual } from 'node:util'
import { constants, createZstdCompress } from 'node:zlib'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { backupKeys, workRoot } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { isOwn } from '../../lib/cache/keys.ts'
import { listSizes } from '../../lib/s3/list.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { strange, withDigest } from '../support/signing.ts'
import { isFull, rounds, tried } from '../support/trust.ts'
import { type Backups, type Objects, prefix, startBackups } from './real-backups.ts'

/**
 * Whoever may write to the backup bucket, and has no right on the database, replaces each object of a backup and of a
 * run's work, one at a time, by forged ones of each kind. It is refused by name; no SQL of theirs runs, nothing is wiped or
 * replaced, and no process needs more than 256 MiB.
 */
const mostMegabytes = 256

type Stored = { body: Buffer; metadata?: Record<string, string> | undefined }
type Forgery = (real: Stored, other: Stored) => Stored

const text =
  (edit: (said: string) => string): Forgery =>
  ({ body, metadata }) => ({
    body: Buffer.from(edit(body.toString())),
    metadata,
  })
const bytes =
  (make: () => Buffer | string): Forgery =>
  (real) => ({ ...real, body: Buffer.from(make()) })
const injected = 'x"; DROP TABLE users CASCADE; --'

/** 2 GiB in 66 KB (in the short form an eighth of it); made once. */
let bomb: Buffer
/** A window of 128 MiB, which a reader would have to reserve. */
let wide: Buffer

const anywhere: Record<string, Forgery> = {
  empty: bytes(() => ''),
  'an empty object': bytes(() => '{}'),
  'nested 5,000 deep': bytes(() => '['.repeat(5_000) + ']'.repeat(5_000)),
  'above what is read': bytes(() => `"${'x'.repeat(17 * 2 ** 20)}"`),
  'a million empty arrays': bytes(() => `[${'[],'.repeat(1_000_001)}[]]`),
  truncated: (real) => ({ ...real, body: real.body.subarray(0, real.body.length >> 1) }),
  'of another run': (_, other) => other,
  'of another type': bytes(() => '"a text"'),
  bomb: bytes(() => bomb),
  'with a wide window': bytes(() => wide),
}
const work: Record<string, Forgery> = {
  ...anywhere,
  'other numbers': text((said) => said.replaceAll(/\d/g, '7')),
  'SQL in its names': text((said) =>
    said.replaceAll(/public|users|worlds|txt|environment|cache/g, injected.replaceAll('"', '\\"')),
  ),
  'not signed': ({ body }) => ({ body }),
  'signed with another key': ({ body }) => ({ body, metadata: { signature: `strange ${'0'.repeat(64)}` } }),
}
/** Of documents, the edits that fit together: a digest of their own, and a signature of somebody else. */
const documents: Record<string, Forgery> = {
  ...anywhere,
  'edited, with its digest made anew': text((said) => edited(said, (json) => withDigest(json))),
  'edited, its signature kept': text((said) => edited(said, (json) => withDigest(json), true)),
  'edited, signed with another key': text((said) => edited(said, (json) => sealed(strange, json))),
}

function edited(said: string, seal: (json: object) => object, keepsSignature = false): string {
  const { digest: _, signature, ...json } = JSON.parse(said)
  const forged = { ...json, warnings: [], writtenAt: '2026-01-01T00:00:00.000Z', sequences: undefined }
  if (json.attempt === undefined) Object.assign(forged, { writtenAt: undefined, rehearsedAt: json.sealedAt })
  else Object.assign(forged, { warnings: undefined, sequences: json.sequences })
  return JSON.stringify({
    ...seal(JSON.parse(JSON.stringify(forged))),
    ...(keepsSignature ? { signature } : {}),
  })
}

let backups: Backups
let intact: { backupId: string; objects: Objects }
let other: typeof intact
const counts = { runs: 0, refused: 0, harmless: 0, readers: 0, megabytes: 0 }

beforeAll(async () => {
  const zeros = Array.from({ length: rounds({ short: 256, full: 2048 }) }, () => Buffer.alloc(2 ** 20))
  bomb = await buffer(Readable.from(zeros).pipe(createZstdCompress()))
  const params = { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 }
  wide = await buffer(Readable.from(zeros.slice(0, 200)).pipe(createZstdCompress({ params })))
  backups = await startBackups()
  await backups.fill('other')
  other = await take()
  await backups.fill('intact')
  backups.onBeforeWipe(async () => {
    await backups.sql.query(`INSERT INTO users (name) VALUES ('late')`)
  })
  intact = await take()
  backups.onBeforeWipe(async () => {})
  await backups.fill('live')
})
afterAll(async () => {
  tried('hostile bucket', counts)
  await backups?.stop()
})

async function take(): Promise<typeof intact> {
  const { backupId } = await backups.run({ operation: 'reset', strategy: 'full', confirm: 'local' })
  return { backupId: backupId ?? '', objects: await backups.read(backupKeys(prefix, backupId ?? '').root) }
}

const put = (Key: string, { body, metadata }: Stored) =>
  backups.s3.send(
    new PutObjectCommand({
      Bucket: backups.bucket,
      Key,
      Body: body,
      ...(metadata ? { Metadata: metadata } : {}),
    }),
  )

async function get(Key: string): Promise<Stored> {
  const { Body, Metadata } = await backups.s3.send(new GetObjectCommand({ Bucket: backups.bucket, Key }))
  return { body: Buffer.from((await Body?.transformToByteArray()) ?? []), metadata: Metadata }
}

/** What the three stores hold of the application. */
async function look() {
  const rows = await backups.sql.query(
    `SELECT (SELECT sum(hashtext(u::text)) FROM users u) AS users, (SELECT sum(hashtext(w.*::text)) FROM worlds w) AS worlds`,
  )
  const files = await backups.s3.send(
    new HeadObjectCommand({
      Bucket: backups.env.FILES_BUCKET,
      Key: `${backups.env.FILES_PREFIX}world/1.txt`,
    }),
  )
  const names = (await backups.redis.keys('*')).filter((key) => !isOwn(Buffer.from(key))).sort()
  return { ...rows.rows[0], file: files.ETag, keys: names, page: await backups.redis.get('page:1') }
}

async function fileAt(path: string): Promise<Buffer> {
  const Key = `${backups.env.FILES_PREFIX}${path}`
  const { Body } = await backups.s3.send(new GetObjectCommand({ Bucket: backups.env.FILES_BUCKET, Key }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}

/** How a run ends: the name of its error, or `succeeded`. */
async function endOf(request: object): Promise<string> {
  counts.runs++
  return backups.run(request).then(
    () => 'succeeded',
    (error: Error) => /^FAILED: (\w+)/.exec(error.message)?.[1] ?? error.message,
  )
}

const refusals =
  /^(BackupDamaged|BackupUnsigned|WorkDamaged|RehearsalFailed|ReadBackMismatch|BackupIncomplete|BackupTooNew|NotFound)$/
const [manifest, late] = ['manifest.json', 'late-1.json']

/** Each object with each forgery; the short form takes one forgery of some objects, not the same one at each. */
function* pairsOf(
  keys: readonly string[],
  kindsOf: (key: string) => Record<string, Forgery>,
  isInShortForm: (key: string, at: number) => boolean,
) {
  for (const [at, key] of keys.entries()) {
    if (!isFull && !isInShortForm(key, at)) continue
    const kinds = Object.entries(kindsOf(key))
    for (const [index, [kind, forge]] of kinds.entries())
      if (isFull || index === (at * 5) % kinds.length) yield { key, kind, forge }
  }
}

describe('a forged object', () => {
  test('of a backup is refused before anything is replaced by it', async () => {
    const { root } = backupKeys(prefix, intact.backupId)
    const before = await look()
    // A restore reads the ranges of larger tables only; a verify reads all.
    const keys = [...intact.objects.keys()].filter(
      (key) => !/\/database\/.*(\/(users|worlds)\/00000|\.ranges$)/.test(key),
    )
    const restore = {
      operation: 'restore',
      backupId: intact.backupId,
      confirm: 'local',
      safetyBackup: false,
    }
    const isDocument = (key: string) => [manifest, late].includes(key.slice(root.length))
    for (const { key, kind, forge } of pairsOf(
      keys,
      (key) => (isDocument(key) ? documents : anywhere),
      (key, at) => isDocument(key) || at % 5 === 0,
    )) {
      const real = await get(key)
      const twin = key.replace(intact.backupId, other.backupId)
      const forged = forge(real, { body: other.objects.get(twin) ?? Buffer.from('none') })
      if (forged.body.equals(real.body)) continue
      await put(key, forged)
      const isCopy = key.startsWith(`${root}files/`)
      const ended = await endOf({ ...restore, rehearse: false, ...(isCopy ? { targets: ['files'] } : {}) })
      await put(key, real)
      if (ended === 'succeeded' && (await isReplaced(key))) {
        counts.harmless++ // a part that the late file replaces: nobody reads it
        await backups.fill('live')
        continue
      }
      counts.refused++
      expect(ended, `${kind} at ${key}`).toMatch(refusals)
      const after = await look()
      // Of copies and of the cache's parts nothing is read before the other stores are back: they alone stay as they were.
      if (isCopy) expect(await fileAt(key.slice(`${root}files/`.length))).not.toEqual(forged.body)
      else if (key.startsWith(`${root}cache/`))
        expect([after.keys, after.page]).toEqual([before.keys, before.page])
      else expect(after, `${kind} at ${key}`).toEqual(before)
      if (!isDeepStrictEqual(after, before)) await backups.fill('live')
    }
  })

  async function isReplaced(key: string): Promise<boolean> {
    const said = intact.objects.get(backupKeys(prefix, intact.backupId).late(1))?.toString() ?? ''
    const shard = key.replace(/^.*\/database\//, '').split('/')[0] ?? ''
    return said.includes(`/database/${shard}/late-1/`)
  }

  test('that says SQL where a manifest says a type runs none, even when it may be unsigned', async () => {
    const before = await look()
    const key = backupKeys(prefix, intact.backupId).manifest
    const real = await get(key)
    const { digest: _, signature: __, ...json } = JSON.parse(real.body.toString()) as Manifest
    for (const forge of [
      (column: { type: string; name: string }) =>
        Object.assign(column, { type: `int); DROP TABLE users CASCADE; --` }),
      (column: { type: string; name: string }) =>
        Object.assign(column, { name: `${column.name}${injected}` }),
    ].slice(0, isFull ? undefined : 1)) {
      const forged = structuredClone(json)
      for (const table of forged.database?.tables ?? []) for (const column of table.columns) forge(column)
      await put(key, { body: Buffer.from(JSON.stringify(withDigest(forged))) })
      const restore = {
        operation: 'restore',
        backupId: intact.backupId,
        confirm: 'local',
        safetyBackup: false,
      }
      expect(await endOf(restore)).toBe('BackupUnsigned')
      expect(await endOf({ ...restore, allowUnsigned: true })).toMatch(/^(SchemaChanged|BackupDamaged)$/)
      if (!isFull) continue
      const verify = { operation: 'verify', backupId: intact.backupId, rehearse: true }
      expect(await endOf(verify)).toBe('BackupUnsigned')
      expect(await endOf({ ...verify, allowUnsigned: true })).toMatch(/^(SchemaChanged|BackupDamaged)$/)
    }
    await put(key, real)
    expect(await look()).toEqual(before)
  })

  test.each(
    (
      [
        [
          'reset',
          () => ({ operation: 'reset', strategy: 'full', confirm: 'local' }),
          /probe-|results\/wiped/,
        ],
        [
          'restore',
          () => ({ operation: 'restore', backupId: intact.backupId, confirm: 'local', safetyBackup: false }),
          /probe-|results\/restor|\/files\//, // without a safety backup nobody reads what there is
        ],
      ] as const
    ).slice(0, isFull ? undefined : 1),
  )(
    'of the work of a %s is refused by what reads it, and nothing is wiped or replaced',
    async (operation, request, onlyTold) => {
      await clearWork()
      await backups.run(request())
      const twins = await takeWork()
      const keys = [...twins.keys()].filter((key) => !onlyTold.test(key))
      expect(keys).toContain('0/plan')
      for (const { key, kind, forge } of pairsOf(
        keys.filter((key, at) => isFull || at % 6 === 0 || key.endsWith('/plan')),
        () => work,
        (key, at) => at % 4 === 0 || key.endsWith('/plan'),
      )) {
        await clearWork()
        await backups.fill('live')
        const before = await look()
        const found = { acts: false, isForged: false, isSame: false, wasBefore: false }
        backups.onState(async (state) => {
          if (/^(Wipe|Restore) /.test(state)) found.acts = true
          if (found.isForged) return
          const mine = (await workKeysNow()).find((name) => placeOf(name) === key)
          if (mine === undefined) return
          const real = await get(mine)
          const forged = forge(real, twins.get(key) as Stored)
          await put(mine, forged)
          const isSame = isDeepStrictEqual(forged, real) // an edit that finds nothing to edit
          Object.assign(found, { isForged: true, isSame, wasBefore: !found.acts })
        })
        const ended = await endOf(request())
        backups.onState(async () => {})
        expect(found.isForged, `${operation}: ${key}`).toBe(true)
        if (found.isSame) continue
        counts.refused++
        expect(ended, `${kind} at ${key}`).toMatch(refusals)
        // The list of what is put back is read when the database is back: of the files nothing has changed.
        const after = key.includes('restore-files/') ? { ...before, file: (await look()).file } : await look()
        if (found.wasBefore) expect(after, `${kind} at ${key}`).toEqual(before)
      }
    },
  )

  /** Below the run, without what is named by the try and by the digest. */
  function placeOf(key: string): string {
    const below = key.split('/').slice(3).join('/')
    return below.replace(/\/lists-[^/]*/, '').replace(/plan-[0-9a-f]*\.json$/, 'plan')
  }

  async function workKeysNow(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of listSizes({ s3: backups.s3, name: backups.bucket }, [workRoot]))
      keys.push(key)
    return keys
  }

  /** The only run's work, by the keys below the run. */
  async function takeWork(): Promise<Map<string, Stored>> {
    const taken = new Map<string, Stored>()
    for (const key of await workKeysNow()) taken.set(placeOf(key), await get(key))
    return taken
  }

  async function clearWork(): Promise<void> {
    for (const Key of await workKeysNow())
      await backups.s3.send(new DeleteObjectCommand({ Bucket: backups.bucket, Key }))
  }

  describe('read in a process of its own', () => {
    const child = useBundledChild(new URL('./hostile-child.ts', import.meta.url))

    test.runIf(isFull)('takes no reader above 256 MiB, and hides no other backup (full form)', async () => {
      const { manifest: key, root } = backupKeys(prefix, intact.backupId)
      const part = [...intact.objects.keys()].find((name) => name.includes(`${root}cache/`)) ?? ''
      const cases: [string, Record<string, Forgery>][] = [
        [
          key,
          {
            deep: anywhere['nested 5,000 deep'] as Forgery,
            many: anywhere['a million empty arrays'] as Forgery,
            large: anywhere['above what is read'] as Forgery,
            wrong: bytes(() => JSON.stringify({ version: 2, preserved: { tables: Array(900_000).fill(0) } })),
          },
        ],
        [`${root}pinned.json`, { large: anywhere['above what is read'] as Forgery }],
        [part, { bomb: anywhere.bomb as Forgery, wide: anywhere['with a wide window'] as Forgery }],
      ]
      for (const [at, kinds] of cases) {
        for (const [kind, forge] of Object.entries(kinds)) {
          const real = intact.objects.get(at)
          const { body } = forge({ body: real ?? Buffer.from('') }, { body: Buffer.from('') })
          await put(at, { body })
          if (real !== undefined && at === part) await sayOfPart(key, at, body)
          const { said, listed, megabytes } = await child([intact.backupId], backups.env)
          counts.readers++
          counts.megabytes = Math.max(counts.megabytes, megabytes)
          await put(key, { body: intact.objects.get(key) as Buffer })
          await put(at, { body: real ?? Buffer.from('{"pinned":false}') })
          expect(megabytes, `${kind} at ${at}`).toBeLessThan(mostMegabytes)
          expect(listed, `${kind} at ${at}`).toContain(other.backupId)
          if (!at.endsWith('pinned.json')) expect(said).toContain('BackupDamaged')
        }
      }
    })
  })

  /** A manifest that says the forged part's size and digest, as whoever writes to the bucket would have it. */
  async function sayOfPart(key: string, at: string, body: Buffer): Promise<void> {
    const {
      digest: _,
      signature: __,
      ...json
    } = JSON.parse(intact.objects.get(key)?.toString() ?? '') as Manifest
    const parts = (json.cache?.parts ?? []).map(({ plain: _p, longest: _l, ...part }) =>
      part.key === at
        ? { ...part, bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') }
        : part,
    )
    const forged = { ...json, cache: json.cache && { ...json.cache, parts } }
    await put(key, { body: Buffer.from(JSON.stringify(withDigest(forged))) })
    await put(backupKeys(prefix, intact.backupId).late(1), {
      body: intact.objects.get(backupKeys(prefix, intact.backupId).late(1)) as Buffer,
    })
  }
})
