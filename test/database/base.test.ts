import { type HeadObjectCommand, type S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import type { Column } from '../../lib/backup/sections/database.ts'
import type { Config } from '../../lib/config/variables.ts'
import { findBase, tablesOf } from '../../lib/database/base/find.ts'
import type { SigningKey } from '../../lib/signature.ts'
import { memoryS3 } from '../backup/memory-s3.ts'
import { prefix } from '../backup/real-backups.ts'
import { json, sampleBackup } from '../backup/sample-backup.ts'
import { signing, strange } from '../support/signing.ts'
import { table } from './made-catalog.ts'

const here = { fingerprints: { version: 2, seed: '-1' }, serverVersion: '18.6' } as const
const config = { BACKUP_PREFIX: prefix, ENVIRONMENT: 'local' } as Config
const idOf = (day: number) => `2026-11-${String(day).padStart(2, '0')}T03-00-00Z-3f9a2c`

/** Puts a backup of that day, with ranges, signed. */
function bucketOf() {
  const memory = memoryS3()
  const put = (
    day: number,
    edit: (manifest: Manifest, objects: ReturnType<typeof sampleBackup>) => void = () => {},
    keys: readonly SigningKey[] = signing,
  ) => {
    const backupId = idOf(day)
    const sample = sampleBackup({ backupId, tables: { 'public.users': [3], 'public.none': [0] } })
    const [part] = sample.manifest.database?.tables[0]?.parts ?? []
    Object.assign(part!, { ranges: { pages: 16, count: 1, bytes: 32 + 3 * 8, sha256: 'a'.repeat(64) } })
    edit(sample.manifest, sample)
    sample.objects.set(sample.keys.manifest, json(sealed(keys, sample.manifest)))
    for (const [key, body] of sample.objects) memory.objects.set(key, body)
    return sample
  }
  const find = async (within?: number) => {
    const { base, warnings } = await findBase({ backups: memory.storage, config }, here, within)
    return {
      base: base?.backupId ?? null,
      warnings: warnings.map(({ code, message }) => `${code}: ${message}`),
    }
  }
  return { put, find, memory }
}

describe('a base', () => {
  it('is the newest backup, with what it holds', async () => {
    const { put, memory } = bucketOf()
    put(20)
    put(21)
    const { base } = await findBase({ backups: memory.storage, config }, here)
    expect(base).toMatchObject({ backupId: idOf(21), serverVersion: '18.4' })
    expect(base?.tables.map(({ name }) => name)).toEqual(['public.users', 'public.none'])
  })

  it('is none when there is no backup, and nothing is said of that', async () => {
    expect(await bucketOf().find()).toEqual({ base: null, warnings: [] })
  })

  it.each<[string, Parameters<ReturnType<typeof bucketOf>['put']>[1]]>([
    ['of another environment', (manifest) => Object.assign(manifest, { environment: 'staging' })],
    ['with another seed', ({ database }) => Object.assign(database!, { seed: '7' })],
    [
      'of another major version of the server',
      ({ database }) => Object.assign(database!, { serverVersion: '17.9' }),
    ],
    ['without a database', (manifest) => Object.assign(manifest, { database: null, strategy: 'files-only' })],
    ['whose parts have no ranges', ({ database }) => delete database!.tables[0]!.parts[0]!.ranges],
    ['that a prune has begun to delete', (_, { objects, keys }) => objects.set(keys.tombstone, json({}))],
    ['without a manifest', (_, sample) => sample.objects.set(`${sample.keys.root}x`, json({}))],
  ])('is no backup %s: an older one is', async (what, edit) => {
    const { put, find, memory } = bucketOf()
    put(20)
    const { keys } = put(21, edit)
    if (what === 'without a manifest') memory.objects.delete(keys.manifest)
    expect(await find()).toEqual({ base: idOf(20), warnings: [] })
  })

  it('is no backup that is damaged, not signed, or signed with a key that is not known; that is said when none is left', async () => {
    const { put, find, memory } = bucketOf()
    put(20)
    const { keys, objects } = put(21)
    memory.objects.set(keys.manifest, objects.get(keys.manifest)!.subarray(1))
    expect(await find()).toEqual({ base: idOf(20), warnings: [] })
    put(20, undefined, strange)
    expect((await find()).warnings).toEqual([
      expect.stringMatching(/^NoBase: Nothing is taken over .*is damaged.* \(and 1 more\)$/),
    ])
    memory.objects.delete(keys.manifest)
    expect(await find()).toEqual({
      base: null,
      warnings: [expect.stringContaining('signed with the key "strange", which SIGNING_KEYS does not hold')],
    })
    const unsigned = put(20)
    memory.objects.set(unsigned.keys.manifest, json(unsigned.manifest))
    expect((await find()).warnings).toEqual([expect.stringMatching(/^NoBase: .* is not signed$/)])
  })

  it('is never one that names parts of another backup', async () => {
    const { put, find } = bucketOf()
    put(20)
    put(21, ({ database }) => {
      const part = database!.tables[0]!.parts[0]!
      part.key = part.key!.replace(idOf(21), idOf(19))
    })
    expect(await find()).toEqual({ base: idOf(20), warnings: [] })
  })

  it('is found behind any number of folders that hold none, or one that is forged', async () => {
    const { put, find, memory } = bucketOf()
    put(10)
    for (let hour = 10; hour < 60; hour++)
      memory.objects.set(`${prefix}2026-11-22T${hour % 24}-${hour}-00Z-3f9a2c/x`, json({}))
    for (const day of [11, 12, 13]) {
      const { keys, manifest } = put(day)
      memory.objects.set(keys.manifest, json(manifest)) // not signed
      put(day + 3, undefined, strange)
      memory.objects.set(put(day + 6).keys.tombstone, json({}))
    }
    expect(await find()).toEqual({ base: idOf(10), warnings: [] })
    memory.objects.delete(put(10).keys.manifest)
    expect((await find()).warnings).toEqual([expect.stringMatching(/is being deleted.* \(and 8 more\)$/)])
  })

  it('is none of which S3 does not say whether it is being deleted; an older one is', async () => {
    const { put, memory } = bucketOf()
    put(20)
    const { keys } = put(21)
    const { s3 } = memory.storage
    const send = async (command: HeadObjectCommand) => {
      if (command.input.Key === keys.tombstone)
        throw new S3ServiceException({
          ...{
            name: 'InvalidRequest',
            $fault: 'client',
            message: 'stored using a form of Server Side Encryption',
          },
          $metadata: { httpStatusCode: 400 },
        })
      return s3.send(command)
    }
    const backups = { ...memory.storage, s3: { send } as unknown as S3Client }
    expect(await findBase({ backups, config }, here)).toMatchObject({
      base: { backupId: idOf(20) },
      warnings: [],
    })
    memory.objects.delete(put(20).keys.manifest)
    const { base, warnings } = await findBase({ backups, config }, here)
    expect(base).toBe(null)
    expect(warnings).toMatchObject([
      { code: 'NoBase', message: expect.stringContaining('may be being deleted') },
    ])
  })

  it('is not looked for without end: that the time was over is said', async () => {
    const { put, find } = bucketOf()
    put(20)
    expect(await find(-1)).toEqual({
      base: null,
      warnings: [
        expect.stringMatching(
          /^NoBase: Nothing is taken over .*: the newest 0 folders of .* hold none that counts, and no more were looked at/,
        ),
      ],
    })
  })

  it('is looked for among the newest five that hold a database', async () => {
    const { put, find } = bucketOf()
    put(10)
    for (const day of [11, 12, 13, 14]) put(day, ({ database }) => Object.assign(database!, { seed: '7' }))
    expect((await find()).base).toBe(idOf(10))
    put(15, ({ database }) => Object.assign(database!, { seed: '7' }))
    expect((await find()).base).toBe(null)
  })
})

describe('a table of a base', () => {
  const column = (name: string, change: Partial<Column> = {}): Column => ({
    ...{ name, type: 'text', asText: false, notNull: false, hasDefault: false, generated: '', identity: '' },
    ...change,
  })
  const columns = [column('a'), column('b')]

  it('has the same columns in the same order, whatever else is said of them', async () => {
    const { put, memory } = bucketOf()
    put(20, ({ database }) => Object.assign(database!.tables[0]!, { columns }))
    const { base } = await findBase({ backups: memory.storage, config }, here)
    const of = (...now: Column[]) =>
      tablesOf(base, [table('public.users', { columns: now })]).has('public.users')
    expect(of(...columns)).toBe(true)
    expect(of(column('a', { notNull: true, identity: 'a' }), column('b', { hasDefault: true }))).toBe(true)
    expect(of(column('b'), column('a'))).toBe(false)
    expect(of(column('a'))).toBe(false)
    expect(of(...columns, column('c'))).toBe(false)
    expect(of(column('a'), column('b', { type: 'varchar' }))).toBe(false)
    expect(of(column('a'), column('b', { asText: true }))).toBe(false)
    expect([...tablesOf(base, [table('public.others', { columns }), table('public.none')]).keys()]).toEqual([
      'public.none',
    ])
    expect(tablesOf(null, [table('public.users', { columns })]).size).toBe(0)
  })
})
