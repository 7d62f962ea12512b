import { S3ServiceException } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { DocumentDamaged } from '../../lib/backup/documents/backup-document.ts'
import type { Late, Manifest } from '../../lib/backup/manifest.ts'
import { findBackup, isSealed, readBackup } from '../../lib/backup/read.ts'
import { BackupDamaged, BackupTooNew, InvalidRequest, NotFound, NotPermitted } from '../../lib/errors.ts'
import { withDigest } from '../support/signing.ts'
import { memoryS3 } from './memory-s3.ts'
import { prefix } from './real-backups.ts'
import { json, sampleBackup, sampleId } from './sample-backup.ts'

type Sample = ReturnType<typeof sampleBackup>

const read = ({ objects, backupId }: Pick<Sample, 'objects' | 'backupId'>) =>
  readBackup(memoryS3(objects).storage, prefix, backupId)

/** What is wrong with the manifest of a sample after an edit. */
async function problemOf(edit: (manifest: Manifest, sample: Sample) => void): Promise<string> {
  const sample = sampleBackup()
  edit(sample.manifest, sample)
  sample.write()
  return messageOf(sample)
}

async function lateProblemOf(edit: (late: Late, sample: Sample) => void, attempt = 1): Promise<string> {
  const sample = sampleBackup()
  const late = sample.addLate(attempt, [['public.users', 0, 7]])
  edit(late, sample)
  sample.objects.set(sample.keys.late(attempt), json(late))
  return messageOf(sample)
}

async function messageOf(sample: Sample): Promise<string> {
  const error = await read(sample).catch((cause: unknown) => cause)
  if (!(error instanceof DocumentDamaged)) throw error
  expect(error).toBeInstanceOf(BackupDamaged)
  expect(error.name).toBe('BackupDamaged')
  expect(error.message).toContain(`s3://taskmaster-backups/${error.key} is damaged: `)
  return error.message
}

const users = (manifest: Manifest) => manifest.database!.tables[0]!

describe('a backup', () => {
  test('without a late file is its manifest', async () => {
    const sample = sampleBackup()
    expect(await read(sample)).toEqual({
      ...{ ...sample.manifest, late: null, authentic: 'unsigned' },
      seen: { manifest: expect.stringMatching(/^[0-9a-f]{64}$/), late: null },
    })
  })

  test('with a late file has its parts, its sequences and new sums', async () => {
    const sample = sampleBackup()
    const late = sample.addLate(1, [
      ['public.users', 1, 6],
      ['public.worlds', 0, 0],
    ])
    const backup = await read(sample)
    const [usersNow, worldsNow] = backup.database!.tables
    expect(backup.late).toBe(1)
    expect(usersNow!.parts[1]).toEqual(late.tables[0]!.parts[0])
    expect(usersNow!.parts.map(({ rows }) => rows)).toEqual([3, 6, 2])
    expect(usersNow).toMatchObject({ rows: 11, fingerprint: String(11 * 1_000_003) })
    expect(worldsNow).toMatchObject({ rows: 0, fingerprint: '0' })
    const parts = backup.database!.tables.flatMap((table) => table.parts)
    expect(backup.database).toMatchObject({
      rows: 11,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      sequences: [{ lastValue: '51' }],
    })
  })

  test('has the parts of the highest late file only, which lists all differences', async () => {
    const sample = sampleBackup()
    for (const attempt of [1, 2, 10]) sample.addLate(attempt, [['public.users', attempt % 3, attempt]])
    const backup = await read(sample)
    expect(backup.late).toBe(10)
    expect(users(backup).parts.map(({ rows }) => rows)).toEqual([3, 10, 2])
  })

  test('whose last late file says that nothing differs is its manifest, with the later sequences', async () => {
    const sample = sampleBackup()
    sample.addLate(1, [['public.users', 0, 9]])
    sample.addLate(2, [])
    expect((await read(sample)).database).toMatchObject({ rows: 9, sequences: [{ lastValue: '52' }] })
  })

  test('with keys of the cache that came late has their parts after its own, and counts each key once', async () => {
    const sample = sampleBackup()
    const { key, ...line } = sample.put(sample.keys.lateCachePart(0, 1, 1), [{ key: 'k', type: 'string' }])
    const late = { key, keys: 1, ...line }
    sample.addLate(2, [], { cache: { added: 0, parts: [late] } })
    const { cache } = await read(sample)
    expect(cache).toEqual({ ...sample.manifest.cache, parts: [...sample.manifest.cache!.parts, late] })
    sample.addLate(2, [], { cache: { added: 1, parts: [late] } })
    expect((await read(sample)).cache!.keys).toBe(sample.manifest.cache!.keys + 1)
  })

  test('of the cache alone may have a late file', async () => {
    const sample = sampleBackup()
    const part = sample.put(sample.keys.lateCachePart(0, 1, 1), [{ key: 'new', type: 'string' }])
    Object.assign(sample.manifest, { database: null, files: null })
    sample.write()
    sample.addLate(1, [], { sequences: [], cache: { added: 1, parts: [{ ...part, keys: 1 }] } })
    expect(await read(sample)).toMatchObject({ database: null, late: 1, cache: { keys: 4 } })
  })

  test('of files alone, or of nothing at all, is one too', async () => {
    const sample = sampleBackup({ tables: {}, files: {}, cacheLines: [] })
    expect(await read(sample)).toMatchObject({ files: { index: null }, cache: { parts: [] } })
    Object.assign(sample.manifest, { database: null, cache: null })
    sample.write()
    expect(await read(sample)).toMatchObject({ database: null, cache: null, late: null })
  })

  test('may hold parts that a repeated step wrote beside the first, and odd names', async () => {
    const sample = sampleBackup({ tables: { 'public.Ödd "x"/%.jsonl': [2] } })
    const part = users(sample.manifest).parts[0]!
    sample.objects.set(sample.keys.tablePart('public.Ödd "x"/%.jsonl', 0, 3), sample.objects.get(part.key!)!)
    Object.assign(users(sample.manifest), { schema: 'public', table: 'Ödd "x"/%.jsonl' })
    part.key = sample.keys.tablePart('public.Ödd "x"/%.jsonl', 0, 3)
    sample.write()
    expect(users(await read(sample)).parts[0]?.key).toBe(part.key)
  })
})

describe('what is not there', () => {
  test('is not found, and the message names some that are', async () => {
    const { objects } = sampleBackup()
    for (let day = 1; day <= 7; day++) {
      for (const [key, bytes] of sampleBackup({ backupId: `2026-10-0${day}T00-00-00Z-aaaaaa` }).objects)
        objects.set(key, bytes)
    }
    objects.set(`${prefix}2026-12-24T00-00-00Z-ffffff/database/x`, Buffer.from('not sealed'))
    const { storage } = memoryS3(objects)
    const error = await readBackup(storage, prefix, '2026-12-24T00-00-00Z-ffffff').catch((cause) => cause)
    expect(error).toBeInstanceOf(NotFound)
    expect(error.message).toBe(
      `There is no sealed backup 2026-12-24T00-00-00Z-ffffff below s3://taskmaster-backups/${prefix}: without a manifest it is none. The newest are ${[sampleId, ...['07', '06', '05', '04'].map((day) => `2026-10-${day}T00-00-00Z-aaaaaa`)].join(', ')}`,
    )
    expect(await findBackup(storage, prefix, '2026-12-24T00-00-00Z-ffffff')).toBeNull()
    expect(await isSealed(storage, prefix, '2026-12-24T00-00-00Z-ffffff')).toBe(false)
    expect(await isSealed(storage, prefix, sampleId)).toBe(true)
    await expect(readBackup(memoryS3().storage, prefix, sampleId)).rejects.toThrow('There is none at all')
    for (let second = 10; second <= 30; second++)
      objects.set(`${prefix}2026-12-24T00-00-${second}Z-ffffff/database/x`, Buffer.from('not sealed'))
    await expect(readBackup(storage, prefix, '2026-12-24T00-00-10Z-ffffff')).rejects.toThrow(
      'Nor is one of the newest 20 folders',
    )
  })

  test.each([
    '',
    '.',
    '..',
    'a/b',
    '../other',
    `${sampleId}/`,
    `/${sampleId}`,
    'a..b',
    ' ',
    'a b',
    'ä',
    'x'.repeat(101),
    'a\n',
  ])('the id %j is refused before anything is asked', async (backupId) => {
    const memory = memoryS3(sampleBackup().objects)
    await expect(readBackup(memory.storage, prefix, backupId)).rejects.toThrow(InvalidRequest)
    expect(memory.seen).toEqual([])
  })

  test('a manifest that may not be read is no missing backup', async () => {
    const memory = memoryS3(sampleBackup().objects)
    memory.answers.set(sampleBackup().keys.manifest, () => {
      const $metadata = { httpStatusCode: 403 }
      throw new S3ServiceException({
        name: 'AccessDenied',
        $fault: 'client',
        message: 'Access Denied',
        $metadata,
      })
    })
    await expect(findBackup(memory.storage, prefix, sampleId)).rejects.toThrow(NotPermitted)
  })
})

describe('a document', () => {
  test('of a newer version says so', async () => {
    const sample = sampleBackup()
    sample.objects.set(sample.keys.manifest, json({ version: 3, everything: 'else' }))
    await expect(read(sample)).rejects.toThrow(BackupTooNew)
    await expect(read(sample)).rejects.toThrow('it was made by a newer version. Update the tool')
    sample.write()
    sample.addLate(1, [], { version: 3 } as never)
    await expect(read(sample)).rejects.toThrow(BackupTooNew)
  })

  test('with members that it does not know says so, when it is what its digest was made of', async () => {
    const sample = sampleBackup()
    const { database, ...manifest } = sample.manifest
    const table = { ...database?.tables[0], ranges: { key: 'x' } }
    const later = {
      ...manifest,
      database: { ...database, tables: [table, ...(database?.tables.slice(1) ?? [])] },
    }
    sample.objects.set(sample.keys.manifest, json(withDigest(later)))
    await expect(read(sample)).rejects.toThrow(BackupTooNew)
    await expect(read(sample)).rejects.toThrow('does not know (database.tables.0.ranges)')
    for (const damaged of [later, withDigest({ ...later, version: 1 })]) {
      sample.objects.set(sample.keys.manifest, json(damaged))
      expect(await messageOf(sample)).toContain('ranges')
    }
    sample.objects.set(sample.keys.manifest, json(withDigest({ ...manifest, colour: 'red', runId: 1 })))
    expect(await messageOf(sample)).toContain('runId')
  })

  test.each([0, -1, '1', null, true])('of the version %j is damaged', async (version) => {
    const sample = sampleBackup()
    sample.objects.set(sample.keys.manifest, json({ ...sample.manifest, version }))
    expect(await messageOf(sample)).toContain('version')
  })

  test.each(['', 'null', '[]', '{', '"x"', '\u0000', '{"version":1}'])(
    'that is %j is damaged',
    async (text) => {
      const sample = sampleBackup()
      sample.objects.set(sample.keys.manifest, Buffer.from(text))
      await messageOf(sample)
    },
  )

  test('that does not fit the schema is damaged, and the first problems are named', async () => {
    expect(await problemOf((manifest) => Object.assign(manifest, { colour: 'red' }))).toContain('colour')
    expect(await problemOf((manifest) => Object.assign(manifest.files!, { bytes: -1 }))).toContain(
      'files.bytes',
    )
  })
})

describe('a manifest', () => {
  test('of another folder is damaged', async () => {
    expect(await problemOf((manifest) => Object.assign(manifest, { backupId: 'other' }))).toContain(
      `it is the manifest of other, but lies in the folder of ${sampleId}`,
    )
  })

  test('whose fingerprints have no seed, a seed that is no number of 64 bits, or one before there were any, is damaged', async () => {
    const seeded = (seed: unknown) => problemOf(({ database }) => Object.assign(database!, { seed }))
    expect(await seeded(undefined)).toContain('a seed of fingerprints and its version do not go together')
    for (const seed of [
      "0'::int8) OR 1",
      '1e3',
      '-0',
      '01',
      '',
      7,
      String(2n ** 63n),
      String(-(2n ** 63n) - 1n),
    ])
      expect(await seeded(seed)).toContain('database.seed')
    expect(await problemOf((manifest) => Object.assign(manifest, { version: 1 }))).toContain('a seed of')
    for (const seed of ['0', String(2n ** 63n - 1n), String(-(2n ** 63n))]) {
      const sample = sampleBackup()
      Object.assign(sample.manifest.database!, { seed })
      sample.write()
      expect((await read(sample)).database?.seed).toBe(seed)
    }
  })

  test('whose sums do not add up is damaged', async () => {
    expect(await problemOf((manifest) => users(manifest).parts[0]!.rows++)).toContain(
      'rows of public.users: 5 is said, but the parts make 6',
    )
    expect(await problemOf((manifest) => users(manifest).rows++)).toContain('rows of public.users')
    expect(await problemOf((manifest) => manifest.database!.rows++)).toContain('database.rows: 10')
    expect(await problemOf((manifest) => manifest.database!.bytes--)).toContain('database.bytes')
    expect(await problemOf((manifest) => manifest.cache!.keys++)).toContain('cache.keys: 4')
    expect(await problemOf((manifest) => Object.assign(users(manifest), { fingerprint: '1' }))).toContain(
      'fingerprint of public.users: 1 is said',
    )
    const minus = await problemOf((manifest) =>
      Object.assign(users(manifest).parts[2]!, { fingerprint: '-99999999999999999999999' }),
    )
    expect(minus).toContain('but the parts make -99999999999999996999990')
  })

  test('whose parts leave a page out, or have it twice, is damaged', async () => {
    const gap = 'of public.users is missing, or there twice'
    expect(await problemOf((manifest) => users(manifest).parts.splice(1, 1))).toContain(`part 1 ${gap}`)
    expect(await problemOf((manifest) => users(manifest).parts.reverse())).toContain(`part 0 ${gap}`)
    expect(
      await problemOf((manifest) => Object.assign(users(manifest).parts[1]!.pages, { from: 11 })),
    ).toContain(gap)
    expect(
      await problemOf((manifest) => Object.assign(users(manifest).parts[1]!.pages, { to: 10 })),
    ).toContain(gap)
    expect(
      await problemOf((manifest) => Object.assign(users(manifest).parts[0]!.pages, { to: null })),
    ).toContain(gap)
    expect(
      await problemOf((manifest) => Object.assign(users(manifest).parts[2]!.pages, { to: 40 })),
    ).toContain('the parts of public.users end at page 40, before the table does')
    expect(
      await problemOf((manifest) => {
        Object.assign(users(manifest).parts[1]!.pages, { to: 10 })
        Object.assign(users(manifest).parts[2]!.pages, { from: 10 })
      }),
    ).toContain(`part 1 ${gap}`)
  })

  test('that points outside the backup, or at the part of another table, is damaged', async () => {
    const { keys } = sampleBackup({ backupId: '2026-01-01T00-00-00Z-000000' })
    const own = sampleBackup().keys
    for (const key of [
      keys.tablePart('public.users', 0, 1),
      `${own.root}../2026-01-01T00-00-00Z-000000/database/public.users/00000.jsonl.zst`,
      own.tablePart('public.worlds', 0, 1),
      own.tablePart('public.users', 2, 1),
      own.latePart('public.users', 0, 1, 1),
      own.tablePart('public.users', 0, 0),
      own.manifest,
      'secrets.txt',
      '',
    ]) {
      const problem = await problemOf((manifest) => Object.assign(users(manifest).parts[0]!, { key }))
      expect(problem).toContain(`part 0 of public.users cannot lie at ${key}`)
    }
    expect(
      await problemOf((manifest) => Object.assign(manifest.files!.index!, { key: own.cachePart(0, 1) })),
    ).toContain("the files' index cannot lie at")
    expect(
      await problemOf((manifest) => Object.assign(manifest.cache!.parts[0]!, { key: own.cachePart(1, 1) })),
    ).toContain('part 0 of the cache cannot lie at')
  })

  test('whose ranges are not those of its pages, or of another size, is damaged', async () => {
    const ranges = { pages: 16, count: 1, bytes: 32 + 8 * 3, sha256: '0'.repeat(64) }
    const first = (edit: object) =>
      problemOf((manifest) => Object.assign(users(manifest).parts[0]!, { ranges: { ...ranges, ...edit } }))
    expect(await first({ count: 2, bytes: 64 + 8 * 3 })).toContain('which are not those of its pages')
    expect(await first({ pages: 5 })).toContain('which are not those of its pages')
    expect(await first({ bytes: 57 })).toContain('has ranges of another size')
    const second = (edit: object) =>
      problemOf((manifest) => {
        const { parts } = users(manifest)
        Object.assign(parts[1]!.pages, { to: 40 })
        Object.assign(parts[2]!.pages, { from: 40 })
        Object.assign(parts[1]!, edit)
      })
    expect(await second({ ranges })).toContain('has no rows, but ranges')
  })

  test('with rows and no object, or an object and no rows, is damaged', async () => {
    expect(await problemOf((manifest) => Object.assign(users(manifest).parts[0]!, { key: null }))).toContain(
      'part 0 of public.users has rows, but no object',
    )
    expect(
      await problemOf((manifest) => Object.assign(users(manifest).parts[1]!, { sha256: '0'.repeat(64) })),
    ).toContain('part 1 of public.users has no rows, but an object')
    const counted = { rows: 0, fingerprint: '5' }
    expect(
      await problemOf((manifest) => {
        users(manifest).fingerprint = String(BigInt(users(manifest).fingerprint) + 5n)
        Object.assign(users(manifest).parts[1]!, counted)
      }),
    ).toContain('part 1 of public.users has no rows, but an object')
    expect(await problemOf((manifest) => Object.assign(manifest.files!, { index: null }))).toContain('index')
    const empty = { objects: 0, bytes: 7, index: null }
    expect(await problemOf((manifest) => Object.assign(manifest.files!, empty))).toContain(
      'there are bytes of files, but no file',
    )
  })

  test('that has a name twice, or a name of another table or sequence, is damaged', async () => {
    expect(await problemOf(({ database }) => database!.tables.push(database!.tables[0]!))).toContain(
      'the table public.users is there twice',
    )
    expect(
      await problemOf(({ database }) =>
        Object.assign(database!.tables[1]!, { oid: database!.tables[0]!.oid }),
      ),
    ).toContain('the oid of a table 1 is there twice')
    expect(await problemOf(({ database }) => database!.sequences.push(database!.sequences[0]!))).toContain(
      'the sequence public.s is there twice',
    )
    expect(await problemOf((manifest) => Object.assign(users(manifest), { table: 'admins' }))).toContain(
      'public.users is not the name of admins in the schema public',
    )
    const other = { sequence: 'admins_id_seq' }
    const unlike = 'public.s is not the name of admins_id_seq in the schema public'
    expect(await problemOf(({ database }) => Object.assign(database!.sequences[0]!, other))).toContain(unlike)
    expect(await lateProblemOf(({ sequences }) => Object.assign(sequences[0]!, other))).toContain(unlike)
    const column = {
      ...{ name: 'id', type: 'integer', asText: false, notNull: true },
      ...{ hasDefault: false, generated: '', identity: '' },
    }
    expect(await problemOf((manifest) => users(manifest).columns.push(column, { ...column }))).toContain(
      'the column of public.users id is there twice',
    )
  })
})

describe('a late file', () => {
  test('of another backup, or of another attempt, is damaged', async () => {
    expect(await lateProblemOf((late) => Object.assign(late, { backupId: 'other' }))).toContain(
      'it belongs to other',
    )
    expect(await lateProblemOf((late) => late.attempt++)).toContain('it says it is attempt 2')
    expect(await lateProblemOf((late) => Object.assign(late, { version: 1 }))).toContain(
      'it has the version 1, the manifest 2',
    )
  })

  test('replaces only parts that are there, each once, with the same pages', async () => {
    expect(await lateProblemOf((late) => Object.assign(late.tables[0]!, { name: 'public.x' }))).toContain(
      'it replaces parts of public.x, which is not in the manifest',
    )
    expect(await lateProblemOf((late) => Object.assign(late.tables[0]!.parts[0]!, { shard: 9 }))).toContain(
      "its part 9 of public.users has other pages than the manifest's",
    )
    expect(
      await lateProblemOf((late) => Object.assign(late.tables[0]!.parts[0]!.pages, { to: 11 })),
    ).toContain('other pages')
    expect(await lateProblemOf((late) => late.tables[0]!.parts.push(late.tables[0]!.parts[0]!))).toContain(
      'it replaces part 0 of public.users twice',
    )
    expect(await lateProblemOf((late) => late.tables.push(late.tables[0]!))).toContain(
      'public.users is there twice',
    )
    expect(
      await lateProblemOf((_, sample) => {
        sample.manifest.database = null
        sample.write()
      }),
    ).toContain('the manifest has no database whose parts it could replace')
    expect(
      await lateProblemOf((late, sample) => {
        late.tables = []
        sample.manifest.database = null
        sample.write()
      }),
    ).toContain('the manifest has no database whose parts it could replace')
  })

  test('names only parts of the cache that it or one before it wrote, and no more new keys than they hold', async () => {
    const { keys } = sampleBackup()
    const part = { keys: 1, bytes: 1, sha256: '0'.repeat(64) }
    const first = keys.lateCachePart(0, 1, 1)
    for (const key of [keys.cachePart(0, 1), keys.lateCachePart(0, 2, 1), `${first}/x`, 'secrets.txt']) {
      expect(
        await lateProblemOf((late) =>
          Object.assign(late, { cache: { added: 0, parts: [{ ...part, key }] } }),
        ),
      ).toContain(`a part of the cache cannot lie at ${key}`)
    }
    const twice = [first, first].map((key) => ({ ...part, key }))
    expect(
      await lateProblemOf((late) => Object.assign(late, { cache: { added: 0, parts: twice } })),
    ).toContain('is there twice')
    const parts = [{ ...part, key: first }]
    expect(await lateProblemOf((late) => Object.assign(late, { cache: { added: 2, parts } }))).toContain(
      '2 keys are said to be new, but its parts hold 1',
    )
    expect(
      await lateProblemOf((late, sample) => {
        Object.assign(late, { cache: { added: 0, parts } })
        sample.manifest.cache = null
        sample.write()
      }),
    ).toContain('the manifest has no cache')
  })

  test('names only parts that its own attempt wrote, or one before it', async () => {
    const { keys } = sampleBackup()
    const sample = sampleBackup()
    const late = sample.addLate(2, [['public.users', 0, 7]])
    late.tables[0]!.parts[0]!.key = keys.latePart('public.users', 0, 1, 1)
    sample.objects.set(keys.late(2), json(late))
    expect((await read(sample)).late).toBe(2)
    for (const key of [keys.latePart('public.users', 0, 2, 1), keys.tablePart('public.users', 0, 1)]) {
      expect(await lateProblemOf((late) => Object.assign(late.tables[0]!.parts[0]!, { key }))).toContain(
        `part 0 of public.users cannot lie at ${key}`,
      )
    }
  })
})

test('another manifest than the one that was noted when the run was planned is refused', async () => {
  const { objects, backupId } = sampleBackup()
  const { storage } = memoryS3(objects)
  const { seen } = await readBackup(storage, prefix, backupId)
  await expect(readBackup(storage, prefix, backupId, seen)).resolves.toMatchObject({ backupId })
  await expect(readBackup(storage, prefix, backupId, { ...seen, manifest: '0'.repeat(64) })).rejects.toThrow(
    'manifest.json is damaged: it is not the one that was there when the run was planned',
  )
})
