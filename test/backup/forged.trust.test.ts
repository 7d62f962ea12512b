import { createHash } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { firstIssues } from '../../lib/backup/documents/first-issues.ts'
import { documentBounds, noteBounds, parseJson } from '../../lib/backup/documents/json.ts'
import { getJson, getJsonLines } from '../../lib/backup/documents/read.ts'
import { putJson, putJsonLines } from '../../lib/backup/documents/write.ts'
import { putOnce } from '../../lib/backup/documents/write-once.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { listBackups } from '../../lib/backup/list.ts'
import { type Late, Manifest, type Seen } from '../../lib/backup/manifest.ts'
import { type Expected, readPartLines } from '../../lib/backup/part/read.ts'
import { type Backup, findLate, findOwnManifest, readBackup } from '../../lib/backup/read.ts'
import { readBackupFolders } from '../../lib/backup/retention/folders.ts'
import { isPinned } from '../../lib/backup/retention/pin.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { type Allowed, checkVerifiable, refuseForeign } from '../../lib/backup/trust.ts'
import type { Config } from '../../lib/config/variables.ts'
import { BackupDamaged, RunLost, StoreUnavailable, WorkDamaged } from '../../lib/errors.ts'
import { ListedFile } from '../../lib/files/pieces.ts'
import {
  digestOfPlan,
  type MaintenancePlan,
  putPlan,
  readMaintenancePlan,
} from '../../lib/run/planning/plan.ts'
import type { Authenticity } from '../../lib/signature.ts'
import { signing, strange, withDigest } from '../support/signing.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { memoryS3 } from './memory-s3.ts'
import { prefix } from './real-backups.ts'
import { json, sampleBackup, sampleId } from './sample-backup.ts'
import { verifyBackup } from './verify-whole.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const deep = '['.repeat(5_000) + ']'.repeat(5_000)

describe('a late file that somebody adds to a signed backup', () => {
  const sample = sampleBackup()
  const { objects, keys, manifest, backupId } = sample
  objects.set(keys.manifest, json(sealed(signing, manifest)))
  const memory = memoryS3(objects)
  const written = sample.addLate(1, [['public.users', 0, 7]])
  const late = (edit: Partial<Late> = {}): Late => ({ ...written, environment: 'local', ...edit })
  const add = (attempt: number, document: object) => {
    for (const other of [1, 2, 3]) objects.delete(keys.late(other))
    objects.set(keys.late(attempt), json(document))
  }
  const read = (known: Seen['late'] | undefined = undefined) =>
    readBackup(memory.storage, prefix, backupId, { late: known })

  test('is refused when nobody signed it, or a key that is not known, or when it was edited', async () => {
    add(1, withDigest(late()))
    await expect(read()).rejects.toThrow(/late-1\.json is damaged: it is not signed \(unsigned\)/)
    await expect(findLate(memory.storage, prefix, manifest)).rejects.toThrow('is not signed')
    add(1, sealed(strange, late()))
    await expect(read()).rejects.toThrow(/it is not signed \(unknown key\)/)
    const { signature } = sealed(signing, late())
    add(1, { ...withDigest(late({ sequences: [] })), signature })
    await expect(read()).rejects.toThrow('its signature is not that of what it says')
  })

  test('is refused when it was signed for another backup, another environment or another attempt', async () => {
    add(1, sealed(signing, late({ backupId: '2026-11-22T19-05-33Z-aaaaaa' })))
    await expect(read()).rejects.toThrow('it belongs to 2026-11-22T19-05-33Z-aaaaaa')
    add(1, sealed(signing, late({ environment: 'elsewhere' })))
    await expect(read()).rejects.toThrow(/late-1\.json is damaged: .*elsewhere/)
    add(1, sealed(signing, late({ environment: undefined })))
    await expect(read()).rejects.toThrow('it is signed, but for no environment')
    add(3, sealed(signing, late()))
    await expect(read()).rejects.toThrow('it says it is attempt 1')
  })

  test('counts only when it is the one that the ledger noted, whoever signed it', async () => {
    const earlier = json(sealed(signing, late({ sequences: [] })))
    add(1, sealed(signing, late()))
    const noted = { attempt: 1, sha256: sha256(objects.get(keys.late(1)) as Buffer) }
    expect((await read(noted)).late).toBe(1)
    objects.set(keys.late(2), json(sealed(signing, late({ attempt: 2 }))))
    expect((await read(noted)).late).toBe(1)
    expect((await readBackup(memory.storage, prefix, backupId, { late: null })).late).toBeNull()
    objects.set(keys.late(1), earlier)
    await expect(read(noted)).rejects.toThrow('it is not the one that the ledger noted')
    objects.delete(keys.late(1))
    await expect(read(noted)).rejects.toThrow('it should be there, but is not')
  })
})

test('a signed manifest in which somebody puts another seed is refused, though its digest fits', async () => {
  const { objects, keys, manifest, backupId } = sampleBackup()
  const { storage } = memoryS3(objects)
  const { digest: _, ...document } = sealed(signing, manifest)
  objects.set(keys.manifest, json(withDigest(document)))
  expect(await readBackup(storage, prefix, backupId)).toMatchObject({ authentic: 'signed' })
  const forged = { ...document, database: { ...document.database, seed: '2' } }
  objects.set(keys.manifest, json(withDigest(forged)))
  await expect(readBackup(storage, prefix, backupId)).rejects.toThrow(
    'its signature is not that of what it says',
  )
})

describe('the manifest that a run finds in its folder', () => {
  const { objects, keys, manifest, backupId } = sampleBackup()
  const { storage } = memoryS3(objects)
  const find = (runId = manifest.runId) => findOwnManifest(storage, prefix, { backupId, runId })

  test('is its own only when the run is named in it, and it is signed', async () => {
    objects.set(keys.manifest, json(sealed(signing, manifest)))
    expect(await find()).toMatchObject({ backupId, runId: manifest.runId })
    await expect(find('another')).rejects.toThrow(`it was written by another run, ${manifest.runId}`)
    for (const [document, authentic] of [
      [withDigest(manifest), 'unsigned'],
      [sealed(strange, manifest), 'unknown key'],
    ] as const) {
      objects.set(keys.manifest, json(document))
      await expect(find()).rejects.toThrow(`did not sign it (${authentic})`)
    }
    objects.delete(keys.manifest)
    expect(await find()).toBeNull()
  })
})

test('who acts on a backup without reading it is kept from those of other environments, unless that is what was said', async () => {
  const config = { BACKUP_PREFIX: prefix, ENVIRONMENT: 'local' }
  const { storage, objects, answers } = memoryS3()
  const refuse = (backupId: string, allowed: Allowed = {}) =>
    refuseForeign({ backups: storage as never, config: config as never }, backupId, allowed)
  const sample = sampleBackup({ environment: 'production' })
  for (const [key, bytes] of sample.objects) objects.set(key, bytes)
  await expect(refuse(sampleId)).rejects.toThrow('is of the environment "production", and this is "local"')
  await refuse(sampleId, { allowForeign: true })
  objects.set(sample.keys.manifest, Buffer.from('{'))
  await refuse(sampleId) // nobody's
  await refuse('2026-11-22T19-05-33Z-aaaaaa')
  answers.set(sample.keys.manifest, () => {
    throw new Error('reset by peer')
  })
  await expect(refuse(sampleId)).rejects.toThrow(StoreUnavailable)
})

test('rows of a backup that nobody known signed meet no database, unless that is what was said', () => {
  const { manifest, backupId } = sampleBackup()
  const backup = (authentic: Authenticity, more: object = {}): Backup => ({
    ...{ ...manifest, ...more, late: null, authentic },
    seen: { manifest: '0'.repeat(64), late: null },
  })
  const config = { ENVIRONMENT: manifest.environment }
  const check = (one: Backup, allowed: Allowed & { rehearse: boolean }) => () =>
    checkVerifiable(one, config, allowed)
  const signature = { keyId: 'theirs', hmac: '0'.repeat(64) }
  expect(check(backup('unsigned'), { rehearse: true })).toThrow(
    `${backupId} is not signed: it was made before`,
  )
  expect(check(backup('unknown key', { signature }), { rehearse: true })).toThrow(
    'the key "theirs", which SIG',
  )
  for (const [one, allowed] of [
    [backup('signed'), { rehearse: true }],
    [backup('unsigned'), { rehearse: false }],
    [backup('unsigned', { database: null }), { rehearse: true }],
    [backup('unsigned'), { rehearse: true, allowUnsigned: true }],
  ] as const)
    expect(check(one, allowed)).not.toThrow()
  const foreign = backup('signed', { environment: 'production' })
  expect(check(foreign, { rehearse: false })).toThrow('is of the environment "production"')
  expect(check(foreign, { rehearse: false, allowForeign: true })).not.toThrow()
})

describe('the work of a run', () => {
  const memory = memoryS3()
  const { storage, objects, metadata } = memory
  const run = { runId: 'run-1', attempt: 0 }
  const keys = workKeys(run)
  const plan: MaintenancePlan = {
    ...{ ...run, operation: 'verify', backupId: sampleId, reads: 0, batches: 0 },
    seen: { manifest: 'a'.repeat(64), late: null },
  }
  const move = (from: string, to: string) => {
    objects.set(to, objects.get(from) as Buffer)
    metadata.set(to, metadata.get(from))
  }

  test('is planned by the plan that the ledger has the digest of; another one is refused, though it is signed', async () => {
    const noted = { attempt: 0, planDigest: digestOfPlan(plan) }
    await putPlan(storage, plan)
    expect(await readMaintenancePlan(storage, run, noted)).toEqual(plan)
    // That of a Count that was repeated while its first invocation was alive lies beside it.
    await putPlan(storage, { ...plan, operation: 'delete' })
    expect(await readMaintenancePlan(storage, run, noted)).toEqual(plan)
    await putJson(storage, keys.plan(noted.planDigest), { ...plan, operation: 'delete' })
    await expect(readMaintenancePlan(storage, run, noted)).rejects.toThrow('the digest of another plan')
    await expect(readMaintenancePlan(storage, run, { ...noted, attempt: 1 })).rejects.toThrow(
      new RunLost(
        `Run ${run.runId} is in its attempt 1 by now, not in ${run.attempt}. This step stops without acting`,
      ),
    )
    await expect(readMaintenancePlan(storage, run, { ...noted, planDigest: null })).rejects.toThrow(
      new RunLost(`Run ${run.runId} has no plan that a step could carry out`),
    )
  })

  test('is neither written nor believed where no key could sign it', async () => {
    const list = keys.filesList(7)
    await putJsonLines(storage, list, [])
    const { s3, name } = storage
    for (const keyless of [
      { s3, name, signing: [] },
      { s3, name },
    ]) {
      const refusal = { name: 'InvalidConfiguration', message: expect.stringContaining('no SIGNING_KEYS') }
      await expect(getJsonLines(keyless, list, ListedFile)).rejects.toMatchObject(refusal)
      await expect(putJsonLines(keyless, keys.filesList(8), [])).rejects.toMatchObject(refusal)
    }
  })

  test('is refused when it is not signed, edited, signed by another key, or moved from another list or run', async () => {
    const file = { key: 'a.txt', size: 1, etag: '"a"', modified: '2026-11-22T19:00:00.000Z' }
    const list = keys.filesList(0)
    await putJsonLines(storage, list, [file])
    const read = () => getJsonLines(storage, list, ListedFile)
    expect(await read()).toEqual([file])
    const refused = async (reason: string) => {
      const error = await read().catch((cause: unknown) => cause)
      expect(error).toBeInstanceOf(WorkDamaged)
      expect((error as Error).message).toContain(reason)
      await expect(putOnce(storage, list, {})).rejects.toThrow(WorkDamaged)
    }
    objects.set(list, json({ ...file, key: 'b.txt' }))
    await refused('its signature is not that of its bytes and its key')
    metadata.delete(list)
    await refused('it is not signed')
    await putJsonLines({ ...storage, signing: strange }, list, [file])
    await refused('the key "strange", which SIGNING_KEYS does not hold')
    await putJsonLines(storage, keys.filesList(1), [file])
    move(keys.filesList(1), list)
    await refused('its signature is not that of its bytes and its key')
    const other = workKeys({ ...run, attempt: 1 }).filesList(0)
    await putJsonLines(storage, other, [file])
    move(other, list)
    await refused('its signature is not that of its bytes and its key')
  })

  test('is refused when it is signed but of another shape, or larger than what is read', async () => {
    await putJson(storage, keys.cacheResult, { keys: 'many' })
    await expect(getJson(storage, keys.cacheResult, ListedFile)).rejects.toThrow(/cannot be understood/)
    objects.set(keys.cacheResult, Buffer.alloc(documentBounds.bytes + 1, ' '))
    const error = await getJson(storage, keys.cacheResult, ListedFile).catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(WorkDamaged)
    expect((error as Error).message).toContain(`more than the ${documentBounds.bytes} bytes`)
  })
})

describe('what is read of a bucket', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  /** Of a table and its only part, so that both agree. */
  function longFingerprint(fingerprint: string): string {
    const { manifest } = sampleBackup({
      tables: { 'public.users': [3] },
      backupId: '2026-11-22T19-05-34Z-aaaaaa',
    })
    const table = manifest.database?.tables[0] as BackedUpTable
    Object.assign(table, { fingerprint, parts: table.parts.map((part) => ({ ...part, fingerprint })) })
    return JSON.stringify(withDigest(manifest))
  }
  const withMember = (name: string, value: unknown) =>
    JSON.stringify(
      withDigest({ ...sampleBackup({ backupId: '2026-11-22T19-05-34Z-aaaaaa' }).manifest, [name]: value }),
    )
  const values = (count: number) => `[${Array.from({ length: count - 1 }, () => 1).join()}]`

  test('is nested as deep, and holds as many values and members, as its reader allows, and no more', () => {
    const bounds = { bytes: 1_000, values: 10, members: 2, depth: 3 }
    expect(parseJson(nested(3), bounds)).toEqual([[[]]])
    expect(() => parseJson(nested(4), bounds)).toThrow('nested more than 3 levels')
    expect(parseJson('"[[[[[[{,,,,,,,,,,,\\"[[[["', bounds)).toBe('[[[[[[{,,,,,,,,,,,"[[[[')
    expect(parseJson(values(9), bounds)).toHaveLength(8)
    expect(() => parseJson(values(12), bounds)).toThrow('more than 10 values')
    expect(parseJson('[[], [], {}, []]', bounds)).toEqual([[], [], {}, []])
    expect(() => parseJson('[[1], [1], [1], [1], {}, 1]', bounds)).toThrow('more than 10 values')
    const two = { a: { b: [1, 2, 3], c: {} }, d: 4 }
    expect(parseJson(JSON.stringify(two), bounds)).toEqual(two)
    expect(() => parseJson('[{"a":{"b":1,"c":2},"d":[3,4],"e":5}]', bounds)).toThrow('more than 2 members')
  })

  test('is wrong by the first element that is, at any depth, and no more is looked at', () => {
    const found = (json: object) =>
      firstIssues(Manifest, { ...sampleBackup().manifest, ...json }).map(({ path, message }) => [
        path.join('.'),
        message,
      ])
    const { database } = sampleBackup().manifest
    const [table] = database?.tables ?? []
    expect(found({})).toEqual([])
    expect(found({ constructor: { def: {} }, toString: [], ...JSON.parse('{"__proto__": {}}') })).toEqual([])
    expect(found({ runId: 7, files: null, warnings: {}, preserved: [] })).toEqual([]) // no list of wrong elements
    expect(found({ warnings: [{ code: 'a', message: 'b' }, { code: 1 }, { code: 2, message: 3 }] })).toEqual([
      ['warnings.1.code', expect.any(String)],
      ['warnings.1.message', expect.any(String)],
    ])
    expect(found({ preserved: { rows: { 'public.a': '', 'public.b': 1, 'public.c': 2 } } })).toMatchObject([
      ['preserved.rows.public.b', expect.any(String)],
    ])
    const parts = table?.parts.map((part) => ({ ...part, bytes: -1, key: 7 }))
    expect(found({ database: { ...database, tables: [table, { ...table, name: 1, parts }] } })).toMatchObject(
      [
        ['database.tables.1.parts.0.key', expect.any(String)],
        ['database.tables.1.parts.0.bytes', expect.any(String)],
      ],
    )
  })

  test.each([
    ['is nested 5,000 deep', () => deep],
    ['holds too many values', () => `[${'[],'.repeat(documentBounds.values)}[]]`],
    ['is larger than any', () => ' '.repeat(documentBounds.bytes + 1)],
    ['is cut', () => '{"version": 1, "backupId"'],
    ['is another type', () => '"text"'],
    ['has a signature of another type', () => '{"version": 1, "signature": {"keyId": 7}}'],
    [
      'has a fingerprint of so many digits that it takes seconds to add',
      () => longFingerprint('9'.repeat(7_000_000)),
    ],
    ['has a fingerprint that no rows have', () => longFingerprint('9'.repeat(40))],
    ['has a member whose name is megabytes', () => withMember('x'.repeat(8 * 2 ** 20), 1)],
    [
      'is of an environment whose name is megabytes',
      () => withMember('environment', 'x'.repeat(8 * 2 ** 20)),
    ],
    [
      'is of another folder, of which the name is megabytes',
      () => withMember('backupId', 'x'.repeat(8 * 2 ** 20)),
    ],
  ])('hides no other backup when a manifest %s', async (_, text) => {
    const [good, bad] = [sampleBackup(), '2026-11-22T19-05-34Z-aaaaaa']
    const memory = memoryS3(good.objects)
    memory.objects.set(backupKeys(prefix, bad).manifest, Buffer.from(text()))
    const { backups, unreadable } = await listBackups(memory.storage, prefix)
    expect(backups.map(({ backupId }) => backupId)).toEqual([good.backupId])
    expect(unreadable).toEqual([
      { backupId: bad, reason: expect.stringMatching(/is damaged|Update the tool/) },
    ])
    expect(unreadable[0]?.reason.length).toBeLessThan(1000) // it is told in listings, outcomes and other manifests
    const config = { BACKUP_PREFIX: prefix, ENVIRONMENT: 'local' } as Config
    const looks = await readBackupFolders(
      { backups: memory.storage, config },
      { isNeeded: () => false, labelsOf: () => [], isUnknown: () => false },
    )
    expect(looks).toMatchObject([
      { is: 'sealed', backupId: good.backupId },
      { is: 'left', backupId: bad, reason: unreadable[0]?.reason },
    ])
  })

  test('is a pin when it lies there and cannot be understood', async () => {
    for (const text of ['', deep, ' '.repeat(noteBounds.bytes + 1), '{"pinned": "false"}', '[false]']) {
      const sample = sampleBackup()
      sample.objects.set(sample.keys.pin, Buffer.from(text))
      expect(await isPinned(memoryS3(sample.objects).storage, prefix, sample.backupId)).toBe(true)
    }
  })
})

test('the index of a backup’s files has no line that is longer than what names a file, whatever the manifest says', async () => {
  const sample = sampleBackup()
  const body = zstdCompressSync(Buffer.alloc(80 * 2 ** 20, 0x20))
  const key = sample.keys.filesIndex()
  sample.objects.set(key, body)
  const said = { key, bytes: body.length, sha256: sha256(body), plain: 2 ** 50, longest: 2 ** 50 }
  sample.manifest.files = { ...sample.manifest.files!, index: said }
  sample.write()
  const { problems } = await verifyBackup(memoryS3(sample.objects).storage, prefix, sample.backupId)
  expect(problems).toEqual([
    expect.objectContaining({ key, detail: expect.stringContaining('longer than the 65536 bytes') }),
  ])
})

describe('a part', () => {
  const memory = memoryS3()
  async function read(bytes: Buffer, expected: Partial<Expected>): Promise<number> {
    memory.objects.set('part.jsonl.zst', bytes)
    let lines = 0
    const whole = { bytes: bytes.length, sha256: sha256(bytes), ...expected }
    for await (const line of readPartLines(memory.storage, 'part.jsonl.zst', whole))
      if (line.length > 0) lines++
    return lines
  }
  const plain = Buffer.from('{"id":1}\n{"id":22}\n')
  const compressed = zstdCompressSync(plain)

  test('is read as far as its manifest says, and no byte and no line longer', async () => {
    expect(await read(compressed, { plain: 19, longest: 10 })).toBe(2)
    await expect(read(compressed, { plain: 18, longest: 10 })).rejects.toThrow(BackupDamaged)
    await expect(read(compressed, { plain: 19, longest: 9 })).rejects.toThrow(
      'a line is longer than the 9 bytes',
    )
    await expect(read(compressed, { bytes: compressed.length - 1 })).rejects.toThrow(BackupDamaged)
  })

  test.runIf(isFull)(
    `that decompresses to far more than it is, or needs a wide window, ends early, also when nothing says its size ${inFullForm}`,
    async () => {
      const line = Buffer.alloc(70 * 2 ** 20, 'x')
      const before = process.memoryUsage().arrayBuffers
      await expect(read(zstdCompressSync(line), {})).rejects.toThrow('a line is longer than')
      const params = { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 }
      const lines = Buffer.from('x\n'.repeat(2 ** 22)) // 8 MiB, of which each is as short as can be
      expect(await read(zstdCompressSync(lines), {})).toBe(2 ** 22)
      await expect(read(zstdCompressSync(lines, { params }), {})).rejects.toThrow(BackupDamaged)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 * 2 ** 20)
    },
  )
})
