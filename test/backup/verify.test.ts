import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { zstdCompressSync } from 'node:zlib'
import { type GetObjectCommandOutput, ListObjectsV2Command, S3ServiceException } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { rangesKeyOf, workKeys } from '../../lib/backup/layout.ts'
import { judgeBackup } from '../../lib/backup/verify/verify.ts'
import type { Clients } from '../../lib/clients.ts'
import {
  type BackupDamaged,
  BackupTooNew,
  NotFound,
  NotPermitted,
  StoreUnavailable,
} from '../../lib/errors.ts'
import type { Noted } from '../../lib/ledger/documents.ts'
import { judge, Verified, verifyObjects } from '../../lib/run/on-backup/verify.ts'
import {
  digestOfPlan,
  type MaintenancePlan,
  putPlan,
  readMaintenancePlan,
} from '../../lib/run/planning/plan.ts'
import { memoryS3 } from './memory-s3.ts'
import { prefix } from './real-backups.ts'
import { json, sampleBackup } from './sample-backup.ts'
import { verifyBackup } from './verify-whole.ts'

type Sample = ReturnType<typeof sampleBackup>
type Memory = ReturnType<typeof memoryS3>

const noReport = async () => {}
const verify = ({ backupId }: Sample, { storage }: Pick<Memory, 'storage'>) =>
  verifyBackup(storage, prefix, backupId, noReport, () => new Date('2026-11-23T00:00:00Z'))

/** Verifies a sample after something was done to it, or to the S3 that holds it. */
async function verified(damage: (sample: Sample, memory: Memory) => void, sample = sampleBackup()) {
  const memory = memoryS3(sample.objects)
  damage(sample, memory)
  const { problems, extra, ok, ...rest } = await verify(sample, memory)
  const short = ({ key, problem, detail }: { key: string; problem: string; detail: string }) =>
    `${problem} ${key.slice(sample.keys.root.length)}: ${detail.replaceAll(sample.keys.root, '')}`
  return { ...rest, ok, problems: problems.map(short), extra: extra.map(short) }
}

const md5 = (text: string) => `"${createHash('md5').update(text).digest('hex')}"`

/** Writes the index again, with other lines, and the manifest so that only the lines can give it away. */
function rewriteIndex(
  sample: Sample,
  lines: unknown[],
  about: { objects?: number; bytes?: number } = {},
): void {
  sample.manifest.files = {
    ...sample.manifest.files!,
    ...about,
    index: sample.put(sample.keys.filesIndex(), lines),
  }
  sample.write()
}

/** A body that breaks off after its first bytes. */
function breaking(answer: GetObjectCommandOutput): GetObjectCommandOutput {
  const Body = Readable.from(
    (async function* () {
      yield Buffer.from('a few bytes')
      throw new Error('socket hang up')
    })(),
  )
  return { ...answer, Body } as unknown as GetObjectCommandOutput
}

describe('ranges, of a backup that has them', () => {
  const ranged = () => sampleBackup({ ranged: true })
  const sidecar = ({ keys }: Sample) => rangesKeyOf(keys.tablePart('public.users', 0, 1))

  test('are read with their parts, those of late ones too', async () => {
    const sample = ranged()
    sample.addLate(1, [['public.worlds', 0, 2]])
    const memory = memoryS3(sample.objects)
    const found = await verified(() => {}, sample)
    const replaced = sample.keys.tablePart('public.worlds', 0, 1)
    expect(found.extra).toEqual([
      'extra database/public.worlds/00000.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra database/public.worlds/00000.ranges: harmless: they are of a part that does not count',
    ])
    expect(found).toMatchObject({ ok: true, problems: [], objects: 7 + 3 })
    await verify(sample, memory)
    const unread = [...sample.objects.keys()].filter((key) => !memory.seen.includes(key))
    expect(unread.sort()).toEqual([replaced, rangesKeyOf(replaced)])
  })

  test('that are missing, cut, or others, are found, and nothing is said of the part', async () => {
    const object = 'database/public.users/00000.ranges'
    const found = async (damage: (bytes: Buffer) => Buffer | undefined) => {
      const { problems } = await verified((sample) => {
        const { objects } = sample
        const damaged = damage(Buffer.from(objects.get(sidecar(sample))!))
        if (damaged === undefined) objects.delete(sidecar(sample))
        else objects.set(sidecar(sample), damaged)
      }, ranged())
      return problems
    }
    expect(await found(() => undefined)).toEqual([`missing ${object}: there is no such object`])
    expect(await found((bytes) => bytes.subarray(1))).toEqual([
      `truncated ${object}: it has 87 bytes, 88 were written`,
    ])
    const [changed, ...others] = await found((bytes) => bytes.fill(1, 80, 81))
    expect(changed).toMatch(`changed ${object}: its bytes have the SHA-256`)
    expect(others).toEqual([])
  })

  test('that do not fit the part are found also when every digest is right', async () => {
    const recut = await verified((sample) => {
      const { objects, keys, manifest } = sample
      const frames = [[{ id: 0 }, { id: 1 }], [{ id: 2 }]].map((rows) =>
        zstdCompressSync(Buffer.concat(rows.map(json))),
      )
      const bytes = Buffer.concat(frames)
      const part = manifest.database!.tables[0]!.parts[0]!
      const more = bytes.length - part.bytes
      objects.set(keys.tablePart('public.users', 0, 1), bytes)
      part.sha256 = createHash('sha256').update(bytes).digest('hex')
      // The sidecar says the same size, so that nothing but the place of the frames tells.
      const sidecarBytes = Buffer.from(objects.get(sidecar(sample))!)
      sidecarBytes.writeBigUInt64BE(sidecarBytes.readBigUInt64BE(40) + BigInt(more), 40)
      objects.set(sidecar(sample), sidecarBytes)
      part.ranges!.sha256 = createHash('sha256').update(sidecarBytes).digest('hex')
      part.bytes += more
      manifest.database!.bytes += more
      sample.write()
    }, ranged())
    expect(recut.problems).toEqual([
      'changed database/public.users/00000.jsonl.zst: its frames are not the ranges that database/public.users/00000.ranges names',
    ])
  })
})

describe('verify', () => {
  test('reads every object, tells how far it is, and writes nothing', async () => {
    const sample = sampleBackup()
    sample.addLate(1, [['public.worlds', 0, 2]])
    const memory = memoryS3(sample.objects)
    const told: [number, number][] = []
    const result = await verifyBackup(
      memory.storage,
      prefix,
      sample.backupId,
      async (done, total) => void told.push([done, total]),
      () => new Date('2026-11-23T00:00:00Z'),
    )
    const { keys } = sample
    const read = [
      ...[keys.tablePart('public.users', 0, 1), keys.tablePart('public.users', 2, 1)],
      ...[keys.latePart('public.worlds', 0, 1, 1), keys.cachePart(0, 1), keys.filesIndex()],
      ...[keys.file('a.txt'), keys.file('b/c.txt')],
    ]
    expect(result).toEqual({
      backupId: sample.backupId,
      ok: true,
      authentic: 'unsigned',
      objects: 7,
      bytes: read.reduce((sum, key) => sum + sample.objects.get(key)!.length, 0),
      problems: [],
      extra: [expect.objectContaining({ key: keys.tablePart('public.worlds', 0, 1) })],
      found: { problems: 0, extra: 1 },
      byEtagOnly: 0,
      verifiedAt: '2026-11-23T00:00:00.000Z',
    })
    expect(told).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6])) // and the index, which is read when all is judged
    expect(new Set(memory.seen)).toEqual(new Set([...read, keys.manifest, keys.late(1)]))
  })

  test('a backup without files and keys is sound', async () => {
    const sample = sampleBackup({ tables: {}, files: {}, cacheLines: [] })
    expect(await verified(() => {}, sample)).toMatchObject({ ok: true, objects: 0, problems: [], extra: [] })
  })

  test('of a backup that is not sealed, or of a newer version, is refused', async () => {
    const sample = sampleBackup()
    sample.objects.set(sample.keys.manifest, json({ version: 3 }))
    await expect(verify(sample, memoryS3(sample.objects))).rejects.toThrow(BackupTooNew)
    sample.objects.delete(sample.keys.manifest)
    await expect(verify(sample, memoryS3(sample.objects))).rejects.toThrow(NotFound)
  })

  test('a damaged manifest or late file is a finding', async () => {
    const found = await verified(({ objects, keys }) => objects.set(keys.manifest, Buffer.from('{')))
    expect(found).toMatchObject({ ok: false, objects: 0, found: { problems: 1 } })
    expect(found.problems[0]).toMatch(/^changed manifest.json: .* it is not JSON/)
    const late = await verified((sample) => sample.addLate(3, [], { attempt: 4 }))
    expect(late.problems[0]).toMatch(/^changed late-3.json: .* it says it is attempt 4/)
  })

  test('lines are counted, also when the bytes are those that the manifest names', async () => {
    const found = await verified((sample) => {
      const { database, cache } = sample.manifest
      Object.assign(
        database!.tables[0]!.parts[0]!,
        sample.put(sample.keys.tablePart('public.users', 0, 1), [1, 2]),
      )
      database!.bytes = database!.tables
        .flatMap(({ parts }) => parts)
        .reduce((sum, { bytes }) => sum + bytes, 0)
      const lines = [{ part: 2 }, {}, { part: 1 }, { part: 3 }]
      Object.assign(cache!.parts[0]!, sample.put(sample.keys.cachePart(0, 1), lines))
      sample.write()
    })
    expect(found.problems.sort()).toEqual([
      'changed cache/00000.jsonl.zst: it holds 2 keys, the manifest says 3',
      'changed database/public.users/00000.jsonl.zst: it holds 2 rows, the manifest says 3',
    ])
  })

  test('what is not zstd, or holds no JSON, is a finding even when its digest is right', async () => {
    const found = await verified((sample) => {
      const { keys, objects, manifest } = sample
      const bytes = Buffer.from('no zstd')
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      objects.set(keys.cachePart(0, 1), bytes)
      Object.assign(manifest.cache!.parts[0]!, { bytes: bytes.length, sha256 })
      rewriteIndex(sample, ['no file', 'no file'])
    })
    expect(found.problems[0]).toMatch(
      /^changed files.jsonl.zst: files.jsonl.zst holds a line that names no file: "no file"/,
    )
    expect(found.problems[1]).toMatch(/^changed cache\/00000.jsonl.zst: .* cannot be read/)
    const cache = await verified((sample) => {
      const part = sample.put(sample.keys.cachePart(0, 1), [1, null, 2])
      Object.assign(sample.manifest.cache!.parts[0]!, part)
      sample.write()
    })
    expect(cache.problems[0]).toMatch(
      /^changed cache\/00000.jsonl.zst: cache\/00000.jsonl.zst holds a line that/,
    )
  })
})

describe('files', () => {
  const file = (key: string, content: string, copyEtag = md5(content)) => ({
    ...{ key, size: content.length, etag: md5(content), copyEtag },
  })

  test('that lie under a second name are read there; what lies under the first is of no matter', async () => {
    const sample = sampleBackup({ files: { 'a.txt': 'one', 'b/c.txt': 'two', 'd.txt': 'three' } })
    const { objects, keys } = sample
    const lines = Object.entries({ 'a.txt': 'one', 'b/c.txt': 'two', 'd.txt': 'three' }).map(
      ([key, text]) => {
        const etag = `"${createHash('md5').update(text).digest('hex')}"`
        return { key, size: text.length, etag, copyEtag: etag, ...(key === 'd.txt' ? {} : { copy: 2 }) }
      },
    )
    rewriteIndex(sample, lines)
    for (const path of ['a.txt', 'b/c.txt']) {
      objects.set(keys.file(path, 2), objects.get(keys.file(path))!)
      objects.set(keys.file(path), Buffer.from('of a first try'))
    }
    const found = await verified(() => {}, sample)
    expect(found).toMatchObject({ ok: true, problems: [], found: { problems: 0, extra: 2 } })
    objects.set(keys.file('a.txt', 2), Buffer.from('onE'))
    objects.delete(keys.file('b/c.txt', 2))
    expect((await verified(() => {}, sample)).problems).toEqual([
      expect.stringMatching(/^changed files.2\/a.txt: /),
      expect.stringMatching(/^missing files.2\/b\/c.txt: /),
    ])
  })

  test('are laid beside the listing over its pages, in the order of S3', async () => {
    const names = Array.from(
      { length: 2_300 },
      (_, index) => `${index % 7}/${index}${['', 'ä', '💎', '\uffee'][index % 4]}`,
    )
    const files = Object.fromEntries(names.map((name) => [name, name]))
    const gone = [names[0]!, names[1_100]!, names[1_101]!, names[2_299]!]
    const found = await verified(({ objects, keys }) => {
      for (const name of gone) objects.delete(keys.file(name))
      for (const name of ['', '0', '3/x', 'zzz']) objects.set(keys.file(name), Buffer.from('extra'))
    }, sampleBackup({ files }))
    expect(found).toMatchObject({ objects: 2_300 - 4 + 5, found: { problems: 4, extra: 4 } })
    expect(found.problems.sort()).toEqual(
      gone.map((name) => `missing files/${name}: there is no such object`).sort(),
    )
    expect(found.extra.map((text) => text.split(':')[0]).sort()).toEqual(
      ['', '0', '3/x', 'zzz'].map((name) => `extra files/${name}`),
    )
  })

  test('a run names the first ten of its findings, counts the others, and leaves what it found', async () => {
    const run = async (count: number) => {
      const names = Array.from({ length: count }, (_, n) => `${n}`.padStart(2, '0'))
      const sample = sampleBackup({ files: Object.fromEntries(names.map((name) => [name, 'x'])) })
      const memory = memoryS3(sample.objects)
      for (const name of names) {
        sample.objects.delete(sample.keys.file(name))
        sample.objects.set(`${sample.keys.root}foreign/${name}`, Buffer.from('x'))
      }
      const clients = { backups: memory.storage, config: { BACKUP_PREFIX: prefix }, now: () => new Date() }
      const plan = {
        runId: 'r',
        attempt: 0,
        operation: 'verify',
        backupId: sample.backupId,
        reads: 1,
        batches: 0,
      }
      const asked = [clients as unknown as Clients, plan as MaintenancePlan] as const
      await verifyObjects(asked[0], { batch: 0, plan: asked[1] }, noReport)
      const error = await judge(...asked).catch((error: Error) => error)
      const left = await getJson(memory.storage, workKeys({ runId: 'r', attempt: 0 }).verified, Verified)
      return { error: error as BackupDamaged, left }
    }
    const ten = await run(10)
    expect(ten.error.name).toBe('BackupDamaged')
    expect(ten.error.message).toMatch(
      / is damaged in 10 objects of s3:.*files\/09 is missing: [^;]*\. Do not rely on it/,
    )
    const more = await run(12)
    expect(more.error.message).toMatch(
      / in 12 objects .*files\/09 is missing: [^;]*; and 2 more\. Do not rely/,
    )
    expect(more.error.message).not.toContain('files/10')
    expect(more.left.warnings.map(({ code }) => code)).toEqual(['BackupUnsigned', 'ExtraObjects'])
    expect(more.left.warnings[1]?.message).toMatch(
      /^12 objects belong to no backup: .*foreign\/09: [^;]*; and 2 more$/,
    )
  })

  test('a thousand findings are named and all are counted', async () => {
    const files = Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`${index}`, 'x']))
    const found = await verified(({ objects, keys }) => {
      for (const name of Object.keys(files)) objects.delete(keys.file(name))
      for (let index = 0; index < 1_100; index++)
        objects.set(`${keys.root}foreign/${index}`, Buffer.from('x'))
    }, sampleBackup({ files }))
    expect(found.found).toEqual({ problems: 1_200, extra: 1_100 })
    expect([found.problems.length, found.extra.length]).toEqual([1_000, 1_000])
  })

  test('while their index is damaged, nothing is said of them', async () => {
    const found = await verified(({ objects, keys }) => {
      objects.set(keys.filesIndex(), Buffer.from('x'))
      objects.delete(keys.file('a.txt'))
      objects.set(keys.file('extra'), Buffer.from('x'))
      objects.set(`${keys.root}readme.md`, Buffer.from('x'))
    })
    expect(found.problems).toHaveLength(1)
    expect(found.problems[0]).toMatch(
      /^truncated files.jsonl.zst: it has 1 bytes, \d+ were written; so the copies of files could not be checked$/,
    )
    expect(found.extra).toEqual([expect.stringMatching(/^extra readme.md: no step writes/)])
    const missing = await verified(({ objects, keys }) => objects.delete(keys.filesIndex()))
    expect(missing.problems).toEqual([
      'missing files.jsonl.zst: there is no such object; so the copies of files could not be checked',
    ])
  })

  test('an index that is out of order, doubles a file or has another sum is a finding', async () => {
    const [a, b] = [file('a.txt', 'one'), file('b/c.txt', 'two')]
    for (const [lines, about, problem] of [
      [[b, a], {}, 'names a.txt out of order, or twice'],
      [[a, a], {}, 'names a.txt out of order, or twice'],
      [[a, b], { bytes: 7 }, 'the files it names have 6 bytes, the manifest says 7'],
      [[a, b], { objects: 3 }, 'it holds 2 files, the manifest says 3'],
      [[a, { ...b, size: -1 }], {}, 'holds a line that names no file'],
    ] as const) {
      const found = await verified((sample) => rewriteIndex(sample, [...lines], about))
      expect(found.problems, problem).toHaveLength(1)
      expect(found.problems[0]).toContain(problem)
    }
  })

  test('whose copy has an ETag that is no MD5 are compared by it, and that is said', async () => {
    const kms = (answer: GetObjectCommandOutput) => ({ ...answer, ServerSideEncryption: 'aws:kms' as const })
    const encrypt = ({ keys }: Sample, memory: Memory, shown: string) => {
      memory.etags.set(keys.file('a.txt'), shown)
      memory.answers.set(keys.file('a.txt'), kms)
    }
    const opaque = '"0123456789abcdef0123456789abcdef"'
    const line = { ...file('a.txt', 'one'), etag: opaque, copyEtag: opaque }
    const lines = [line, file('b/c.txt', 'two')]
    const same = await verified((sample, memory) => {
      rewriteIndex(sample, lines)
      encrypt(sample, memory, opaque)
    })
    expect(same).toMatchObject({ ok: true, byEtagOnly: 1 })
    const overwritten = await verified((sample, memory) => {
      rewriteIndex(sample, lines)
      encrypt(sample, memory, opaque.replace('0', '9'))
    })
    expect(overwritten.problems[0]).toContain(
      'changed files/a.txt: its bytes have the MD5 f97c5d29941bfb1b2fdab0874906ab82',
    )
    const inParts = await verified((sample, memory) => {
      rewriteIndex(sample, [{ ...line, etag: '"x-3"', copyEtag: '"y-2"' }, lines[1]])
      memory.etags.set(sample.keys.file('a.txt'), '"y-2"')
    })
    expect(inParts).toMatchObject({ ok: true, byEtagOnly: 1 })
  })

  test('whose bytes are those of the source are sound under any ETag: the copy may have been encrypted anew', async () => {
    const found = await verified((sample, memory) => {
      rewriteIndex(sample, [file('a.txt', 'one', '"y-2"'), file('b/c.txt', 'two')])
      memory.etags.set(sample.keys.file('a.txt'), '"z-5"')
    })
    expect(found).toMatchObject({ ok: true, byEtagOnly: 0 })
  })
})

describe('what is extra', () => {
  test('is told with what it means', async () => {
    const found = await verified((sample) => {
      const { keys, objects } = sample
      for (const attempt of [1, 2]) sample.addLate(attempt, [['public.users', 0, attempt]])
      for (const key of [
        keys.latePart('public.users', 0, 2, 2),
        keys.cachePart(0, 2),
        keys.lateCachePart(0, 2, 1),
        keys.file('d'),
        `${keys.root}pinned.json`,
        `${keys.root}pruning.json`,
        `${keys.root}readme.md`,
      ]) {
        objects.set(key, Buffer.from('x'))
      }
    })
    expect(found.ok).toBe(true)
    expect(found.extra).toEqual([
      'extra cache/00000.2.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra cache/late-2/00000.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra database/public.users/00000.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra database/public.users/late-1/00000.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra database/public.users/late-2/00000.2.jsonl.zst: harmless: a later part counts in its place, or a repeated step left it',
      'extra files/d: harmless: a repeated step left it, or somebody put it there',
      'extra late-1.json: harmless: late-2.json counts in its place',
      'extra pruning.json: a prune of this backup was begun and not finished; the next one decides',
      'extra readme.md: no step writes such an object: somebody put it there',
    ])
  })

  test('late parts that no late file names are a problem: rows may be missing', async () => {
    const detail =
      'Either it was lost, and rows with it, or the wipe of run run-1 that wrote the part did not take place'
    const lost = await verified(({ objects, keys }) => {
      objects.set(keys.latePart('public.users', 0, 1, 1), Buffer.from('x'))
    })
    expect(lost.problems[0]).toContain(
      'missing late-1.json: it does not name database/public.users/late-1/00000.jsonl.zst',
    )
    expect(lost.problems[0]).toContain(detail)
    const later = await verified((sample) => {
      sample.addLate(1, [['public.users', 0, 1]])
      sample.addLate(2, [['public.users', 0, 2]])
      sample.objects.delete(sample.keys.late(2))
    })
    expect(later.problems[0]).toContain('missing late-2.json')
    const short = await verified((sample) => {
      sample.addLate(1, [
        ['public.users', 0, 1],
        ['public.worlds', 0, 2],
      ])
      sample.addLate(1, [['public.users', 0, 1]])
    })
    expect(short.problems[0]).toContain(
      'changed late-1.json: it does not name database/public.worlds/late-1/00000',
    )
  })

  test('late keys that no late file names are a problem: their values may be missing', async () => {
    const lost = await verified((sample) => {
      sample.addLate(1, [])
      sample.objects.set(sample.keys.lateCachePart(0, 2, 1), Buffer.from('x'))
    })
    expect(lost.problems[0]).toContain('missing late-2.json: it does not name cache/late-2/00000.jsonl.zst')
  })

  test('objects of a store that the manifest leaves out are a problem of the manifest', async () => {
    for (const [section, count] of [
      ['database', 3],
      ['files', 3],
      ['cache', 1],
    ] as const) {
      const found = await verified((sample) => {
        sample.manifest[section] = null
        sample.write()
      })
      expect(found.problems).toHaveLength(count)
      expect(found.problems[0]).toContain(
        `changed manifest.json: it says that the backup has no ${section}, but there is`,
      )
    }
  })
})

describe('an S3 that fails', () => {
  const refusal = (name: string, httpStatusCode: number) =>
    new S3ServiceException({ name, $fault: 'client', message: name, $metadata: { httpStatusCode } })

  test('a connection that breaks is tried again, and says nothing about the object', async () => {
    for (const path of ['files/a.txt', 'database/public.users/00000.jsonl.zst', 'files.jsonl.zst']) {
      let breaks = 1
      const once = await verified(({ keys }, memory) => {
        memory.answers.set(`${keys.root}${path}`, (answer) => (breaks-- > 0 ? breaking(answer) : answer))
      })
      expect(once, path).toMatchObject({ ok: true })
      const always = verified(({ keys }, memory) => void memory.answers.set(`${keys.root}${path}`, breaking))
      await expect(always, path).rejects.toThrow(StoreUnavailable)
      await expect(always).rejects.toThrow(path)
    }
  })

  test('an object that may not be read is no finding', async () => {
    for (const path of ['files/a.txt', 'database/public.users/00000.jsonl.zst', 'files.jsonl.zst']) {
      const refused = verified(({ keys }, memory) => {
        memory.answers.set(`${keys.root}${path}`, () => {
          throw refusal('AccessDenied', 403)
        })
      })
      await expect(refused).rejects.toThrow(NotPermitted)
    }
  })

  test('an object that goes between listing and reading is missing', async () => {
    const found = await verified(({ keys, objects }, memory) => {
      const key = keys.cachePart(0, 1)
      memory.answers.set(keys.filesIndex(), (answer) => answer)
      memory.answers.set(key, () => {
        objects.delete(key)
        throw refusal('NoSuchKey', 404)
      })
    })
    expect(found.problems).toEqual(['missing cache/00000.jsonl.zst: there is no such object'])
  })

  test('a file that goes, or becomes another one, between listing and reading is a finding too', async () => {
    const found = await verified(({ keys, objects }, memory) => {
      memory.answers.set(keys.file('a.txt'), () => {
        objects.delete(keys.file('a.txt'))
        throw refusal('NoSuchKey', 404)
      })
      const longer = { Body: Readable.from([Buffer.from('three')]) } as unknown as GetObjectCommandOutput
      memory.answers.set(keys.file('b/c.txt'), (answer) => ({ ...answer, ...longer }))
    })
    expect(found.problems).toEqual([
      'missing files/a.txt: there is no such object',
      'changed files/b/c.txt: it has 5 bytes, 3 were written',
    ])
  })

  test('a listing that fails is no empty backup', async () => {
    const sample = sampleBackup()
    const memory = memoryS3(sample.objects)
    const { send } = memory.storage.s3 as unknown as { send: (command: unknown) => Promise<unknown> }
    const failing = async (command: unknown) => {
      if (command instanceof ListObjectsV2Command && command.input.EncodingType === 'url')
        throw refusal('SlowDown', 503)
      return send(command)
    }
    const storage = { ...memory.storage, s3: { send: failing } as never }
    await expect(verify(sample, { storage })).rejects.toThrow(StoreUnavailable)
  })

  test('in however many batches, finds the same, and each object is read by one of them', async () => {
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`${at}`, 'x'.repeat(at * 1000)]))
    const damages: ((sample: Sample) => void)[] = [
      () => {},
      ({ objects, keys }) => {
        for (const name of ['0', '17', '39', '9']) objects.delete(keys.file(name))
        objects.set(keys.file('2'), Buffer.from('short'))
        for (const path of ['', '!', '17b', '39a', '~'])
          objects.set(keys.file(`${path}foreign`), Buffer.from('x'))
        objects.set(keys.file('foreign', 2), Buffer.from('x'))
        objects.set(`${keys.root}foreign`, Buffer.from('x'))
        objects.set(`${keys.root}zzz`, Buffer.from('x'))
        objects.delete(keys.tablePart('public.users', 2, 1))
        objects.delete(keys.cachePart(0, 1))
      },
      ({ objects, keys }) => objects.set(keys.filesIndex(), Buffer.from('damaged')),
      ({ objects, keys }) => objects.delete(keys.filesIndex()),
      ({ objects, keys }) => objects.set(keys.manifest, Buffer.from('{')),
    ]
    for (const damage of damages) {
      const sample = sampleBackup({ files })
      damage(sample)
      const found: unknown[] = []
      for (const seconds of [300, 0.02, 0.004, 0.001]) {
        const memory = memoryS3(sample.objects)
        const { problems, extra, ...rest } = await verifyBackup(
          ...([memory.storage, prefix, sample.backupId, noReport] as const),
          () => new Date('2026-11-23T00:00:00Z'),
          { seconds },
        )
        const sorted = (all: readonly { key: string }[]) => all.toSorted((a, b) => (a.key < b.key ? -1 : 1))
        found.push({ ...rest, problems: sorted(problems), extra: sorted(extra) })
        const copies = memory.seen.filter((key) => key.startsWith(sample.keys.file('')))
        expect(copies.length).toBe(new Set(copies).size)
      }
      expect(found.slice(1)).toEqual([found[0], found[0], found[0]])
    }
  })

  test('that did not look at every object knows nothing of the backup', async () => {
    const sample = sampleBackup()
    const { storage } = memoryS3(sample.objects)
    const asked = { prefix, backupId: sample.backupId, batches: [] }
    await expect(judgeBackup(storage, asked)).rejects.toThrow(StoreUnavailable)
    await expect(judgeBackup(storage, asked)).rejects.toThrow(/^Of the 6 objects .* 0 were looked at/)
  })

  test('by the plan of an earlier version, which read in no batches, knows nothing of it either, and suspects nobody', async () => {
    const { backupId, objects, manifest } = sampleBackup()
    const { storage } = memoryS3(objects)
    const run = { runId: 'earlier', attempt: 0 }
    const seen = { manifest: createHash('sha256').update(json(manifest)).digest('hex'), late: null }
    const planned = { ...run, operation: 'verify', backupId, seen, batches: 0 } as unknown as MaintenancePlan
    await putPlan(storage, planned)
    const plan = await readMaintenancePlan(storage, run, {
      attempt: 0,
      planDigest: digestOfPlan(planned),
    } as Noted)
    const clients = { backups: storage, config: { BACKUP_PREFIX: prefix }, now: () => new Date() }
    await expect(judge(clients as unknown as Clients, plan)).rejects.toThrow(
      / 0 were looked at.* Verify it again$/,
    )
  })

  test('sixteen copies of files are read at a time, but only two parts, which are decompressed', async () => {
    const files = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`${index}`, 'content']))
    const allowed = { copies: 16, parts: 2 }
    const full = { copies: Promise.withResolvers<void>(), parts: Promise.withResolvers<void>() }
    const most = { copies: 0, parts: 0 }
    const found = await verified((sample, memory) => {
      const now = { copies: 0, parts: 0 }
      const copies = new Set(Object.keys(files).map((name) => sample.keys.file(name)))
      for (const key of sample.objects.keys()) {
        const what = copies.has(key) ? 'copies' : 'parts'
        if (what === 'parts' && !key.includes('/database/')) continue
        memory.answers.set(key, (answer) => {
          most[what] = Math.max(most[what], ++now[what])
          if (now[what] === allowed[what]) full[what].resolve()
          const Body = Readable.from(
            (async function* () {
              await Promise.race([full[what].promise, sleep(2_000)])
              await sleep(5) // for who comes although it is full
              yield* answer.Body as AsyncIterable<Buffer>
              now[what]--
            })(),
          )
          return { ...answer, Body } as unknown as GetObjectCommandOutput
        })
      }
    }, sampleBackup({ files }))
    expect(found.ok).toBe(true)
    expect(most).toEqual(allowed)
  })
})
