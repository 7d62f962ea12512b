import { createHash } from 'node:crypto'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BackupKeys, backupKeys, rangesKeyOf } from '../../lib/backup/layout.ts'
import type { Late, Manifest } from '../../lib/backup/manifest.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { BackupTooNew, NotFound } from '../../lib/errors.ts'
import type { Bucket } from '../../lib/s3/bucket.ts'
import type { SigningKey } from '../../lib/signature.ts'
import { currentClients } from '../../lib/task.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import {
  changed,
  type Damage,
  flipBit,
  leavesOf,
  nameOf,
  nodesOf,
  otherValues,
  randomFrom,
  without,
  withValue,
} from './damages.ts'
import { memoryS3 } from './memory-s3.ts'
import { type Backups, type Objects, prefix, startBackups } from './real-backups.ts'
import { verifyBackup } from './verify-whole.ts'

/**
 * One real backup, with a late file, and another one of the same tables; damaged in thousands of ways in memory (in the
 * short form in hundreds).
 *
 * The claim: a damaged, missing, swapped or foreign object is found and named, and so is every edit of a document, by its
 * own digest and its signature; `unguarded` lists what is not.
 */
const unguarded: Record<'manifest' | 'late', string[]> = {
  // A document without its digest is still what its signature says.
  manifest: ['digest'],
  late: ['digest'],
}

let backups: Backups
let main: { backupId: string; keys: BackupKeys; objects: Objects }
let other: typeof main
/** What a restore of `main` reads, beside the two documents. */
let named: string[]
/** What the late file's parts count in the place of. */
let replaced: string[]
const memory = memoryS3()
let signing: readonly SigningKey[]
const random = randomFrom(20_261_122)
const noReport = async () => {}
let cases = 0

beforeAll(async () => {
  backups = await startBackups()
  signing = (await currentClients()).config.SIGNING_KEYS
  await backups.fill('other')
  other = await take({ operation: 'backup' })
  await backups.fill('main')
  backups.onBeforeWipe(async () => {
    await backups.sql.query(`INSERT INTO users (name) VALUES ('late'); DELETE FROM worlds WHERE id = 3`)
  })
  main = await take({ operation: 'reset', strategy: 'full', confirm: 'local' })
  replaced = ['public.users', 'public.worlds']
    .map((table) => main.keys.tablePart(table, 0, 1))
    .flatMap((key) => [key, rangesKeyOf(key)])
    .filter((key) => main.objects.has(key))
  const documents = [main.keys.manifest, main.keys.late(1)]
  named = [...main.objects.keys()].filter((key) => ![...replaced, ...documents].includes(key))
  expect(named.filter((key) => !key.endsWith('.ranges'))).toHaveLength(12)
})
afterAll(() => backups?.stop())

async function take(request: unknown): Promise<typeof main> {
  const { backupId } = await backups.run(request)
  if (backupId === null) throw new Error('The run made no backup.')
  const keys = backupKeys(prefix, backupId)
  return { backupId, keys, objects: await backups.read(keys.root) }
}

type Verdict = { ok: boolean; extra: string[]; problems: string[]; text: string }

async function verdictOn(storage: Bucket): Promise<Verdict> {
  try {
    const { ok, authentic, problems, extra } = await verifyBackup(storage, prefix, main.backupId, noReport)
    if (ok && authentic !== 'signed')
      return { ok: false, extra: [], problems: [main.keys.manifest], text: `it is ${authentic}` }
    const text = problems.map(({ key, problem, detail }) => `${problem} ${key}: ${detail}`).join('\n')
    return { ok, extra: extra.map(({ key }) => key), problems: problems.map(({ key }) => key), text }
  } catch (error) {
    if (!(error instanceof NotFound || error instanceof BackupTooNew)) throw error
    const key = error.message.includes('late-') ? main.keys.late(1) : main.keys.manifest
    return { ok: false, extra: [], problems: [key], text: error.message }
  }
}

async function verdictOf({ objects, etags = new Map() }: Damage): Promise<Verdict> {
  cases++
  Object.assign(memory, { objects, etags })
  return verdictOn({ ...memory.storage, signing })
}

/** What is wrong with the verdict on a damage that must be found; null: nothing. */
async function missed(damage: Damage): Promise<string | null> {
  const { ok, problems, text } = await verdictOf(damage)
  if (ok) return `not found: ${damage.title}`
  const names = damage.names.length === 0 ? [...main.objects.keys()] : damage.names
  if (!problems.some((key) => names.includes(key))) return `not named: ${damage.title}: ${text}`
  return null
}

async function expectAllFound(damages: Iterable<Damage>): Promise<void> {
  const all: string[] = []
  for (const damage of damages) {
    const problem = await missed(damage)
    if (problem !== null) all.push(problem)
  }
  expect(all).toEqual([])
}

const some = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item
const bytesOf = (key: string, from = main.objects) => from.get(key) as Buffer
const md5 = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`

/** One object with other bytes; half of the time S3 noticed nothing, and shows the ETag from before. */
function replacedBy(title: string, key: string, bytes: Buffer): Damage {
  const etags = random(2) === 0 ? new Map([[key, md5(bytesOf(key))]]) : new Map()
  return {
    title: `${title} in ${key}`,
    names: [key],
    objects: changed(main.objects, { [key]: bytes }),
    etags,
  }
}

function* pairs<Item>(items: readonly Item[]): Generator<[Item, Item]> {
  for (const [index, first] of items.entries()) {
    for (const second of items.slice(index + 1)) yield [first, second]
  }
}

/** All of them; in the short form each n-th, and each that must be among them. */
function* sampleOf<Item>(items: Iterable<Item>, nth: number, isWanted = (_: Item) => false): Generator<Item> {
  let at = 0
  for (const item of items) if (at++ % nth === 0 || isFull || isWanted(item)) yield item
}

/** The document with other content. */
function edited(document: 'manifest' | 'late', json: unknown, path: string, title: string): Damage {
  const key = document === 'manifest' ? main.keys.manifest : main.keys.late(1)
  const objects = changed(main.objects, { [key]: Buffer.from(`${JSON.stringify(json)}\n`) })
  return { title: `${document}: ${title} at ${path}`, names: [], objects, path }
}

const parsed = (document: 'manifest' | 'late') =>
  JSON.parse(bytesOf(document === 'manifest' ? main.keys.manifest : main.keys.late(1)).toString())

/** The path as `unguarded` has it; empty tables, and parts that the late file replaces, have names of their own. */
function pathName(document: 'manifest' | 'late', path: (string | number)[]): string {
  const name = nameOf(path)
  if (document === 'late' || path[1] !== 'tables') return name
  const { name: table, rows } = parsed('manifest').database.tables[path[2] as number] ?? {}
  if (rows === 0 && path.length === 3) return 'database.tables[empty]'
  const isReplaced = parsed('late').tables.some((one: { name: string }) => one.name === table)
  return isReplaced ? name.replace('tables[].parts', 'tables[late].parts') : name
}

const guardedBy = (document: 'manifest' | 'late', path: string) =>
  unguarded[document].find(
    (prefix) => path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`),
  )

describe('of a real backup', () => {
  test('undamaged, everything is found as it was written', async () => {
    const verdict = await verdictOf({ title: 'none', names: [], objects: main.objects })
    expect(verdict).toMatchObject({ ok: true, problems: [] })
    expect(verdict.extra).toEqual(replaced)
    const backup = await readBackup(memory.storage, prefix, main.backupId)
    expect(backup.late).toBe(1)
    expect(backup.database?.tables.map(({ rows }) => rows)).toEqual([30, 0, 121, 79])
    expect(backup.database?.rows).toBe(230)
  })

  test('a bit that is flipped in any object is found', async () => {
    const full = named.filter((key) => bytesOf(key).length > 0)
    await expectAllFound(
      Array.from({ length: rounds({ short: 20, full: 900 }) }, (_, index) => {
        const key = full[index % full.length] as string
        const bit = random(8 * bytesOf(key).length)
        return replacedBy(`bit ${bit} flipped`, key, flipBit(bytesOf(key), bit))
      }),
    )
  })

  test('an object that is too short or too long is found', async () => {
    await expectAllFound(
      Array.from({ length: rounds({ short: 15, full: 440 }) }, (_, index) => {
        const key = named[index % named.length] as string
        const bytes = bytesOf(key)
        const cut = random(bytes.length)
        return index % 3 === 0 || bytes.length === 0
          ? replacedBy('bytes added', key, Buffer.concat([bytes, Buffer.alloc(1 + random(40), random(256))]))
          : replacedBy(`cut to ${cut} bytes`, key, bytes.subarray(0, cut))
      }),
    )
  })

  test('objects that are missing are found', async () => {
    const all = [...named, main.keys.manifest, main.keys.late(1)]
    const damages = all.map((key) => ({
      title: `${key} missing`,
      names: [key],
      objects: changed(main.objects, { [key]: null }),
    }))
    for (const [one, two] of sampleOf(pairs(named), 8)) {
      damages.push({
        title: `${one} and ${two} missing`,
        names: [one, two],
        objects: changed(main.objects, { [one]: null, [two]: null }),
      })
    }
    await expectAllFound(damages)
  })

  test('objects that changed places are found', async () => {
    const damages: Damage[] = []
    for (const [one, two] of sampleOf(pairs([...named, main.keys.manifest, main.keys.late(1)]), 5)) {
      const swap = { [one]: bytesOf(two), [two]: bytesOf(one) }
      damages.push({ title: `${one} ⇄ ${two}`, names: [one, two], objects: changed(main.objects, swap) })
    }
    await expectAllFound(damages)
  })

  test('an object of another backup is found', async () => {
    const damages: Damage[] = []
    for (const [key, bytes] of other.objects) {
      const here = key.replace(other.keys.root, main.keys.root)
      const there = named.includes(here) ? here : here.replace('/00000', '/late-1/00000')
      const target = here === main.keys.manifest ? here : there
      if (main.objects.has(target) && !bytesOf(target).equals(bytes))
        damages.push(replacedBy('foreign', target, bytes))
    }
    expect(damages.length).toBeGreaterThanOrEqual(10)
    // And one that the manifest takes from the other backup, digest, sums and all, but at its own place.
    const theirs: Manifest = JSON.parse(bytesOf(other.keys.manifest, other.objects).toString())
    const ours: Manifest = parsed('manifest')
    const table = ours.database?.tables.findIndex(({ name }) => name.includes('Odd')) ?? -1
    const foreign = theirs.database!.tables[table]!
    const adopted = structuredClone(ours)
    adopted.database!.tables[table] = foreign
    damages.push(edited('manifest', adopted, 'database.tables[]', 'the table of another backup'))
    foreign.parts[0]!.key = ours.database!.tables[table]!.parts[0]!.key
    const [index, cache] = [theirs.files!.index!, theirs.cache!.parts[0]!]
    for (const [path, value] of [
      [['files', 'index'], index],
      [['cache', 'parts', 0], cache],
      [['files', 'index'], { ...index, key: ours.files!.index!.key }],
      [['cache', 'parts', 0], { ...cache, key: ours.cache!.parts[0]!.key }],
    ] as [(string | number)[], unknown][]) {
      damages.push(edited('manifest', withValue(ours, path, value), nameOf(path), 'that of another backup'))
    }
    await expectAllFound(damages)
  })

  test('an extra object is told, and does no harm', async () => {
    const { keys } = main
    const names = [
      keys.tablePart('public.users', 7, 1),
      keys.tablePart('public.users', 0, 2),
      keys.latePart('public.users', 0, 1, 2),
      keys.cachePart(9, 1),
      keys.filesIndex(2),
      keys.file('world/3.txt'),
      keys.file('\u{10ffff}'),
      `${keys.root}late-0.json`,
      `${keys.root}late-1.json.bak`,
      `${keys.root}manifest.json.old`,
      `${keys.root}pruning.json`,
      `${keys.root}`,
      ...Array.from(
        { length: rounds({ short: 6, full: 60 }) },
        () => `${keys.root}${some(['', 'files/', 'cache/', 'x/'])}${random(1e9)}`,
      ),
    ]
    for (const key of names) {
      const bytes = bytesOf(some(named))
      const verdict = await verdictOf({
        title: key,
        names: [],
        objects: changed(main.objects, { [key]: bytes }),
      })
      expect(verdict, key).toMatchObject({ ok: true, problems: [] })
      expect(verdict.extra).toContain(key)
    }
    const neighbours = [
      `${prefix}${main.backupId}`,
      `${prefix}${main.backupId}x/manifest.json`,
      `${keys.root}pinned.json`,
    ]
    const objects = changed(
      main.objects,
      Object.fromEntries(neighbours.map((key) => [key, Buffer.from('{}')])),
    )
    expect((await verdictOf({ title: 'neighbours', names: [], objects })).extra).toHaveLength(replaced.length)
  })

  test('a late file that is lost is found by the parts it named', async () => {
    const verdict = await verdictOf({
      title: 'late-1.json lost',
      names: [],
      objects: changed(main.objects, { [main.keys.late(1)]: null }),
    })
    expect(verdict.problems).toEqual([main.keys.late(1), main.keys.late(1)])
    expect(verdict.text).toContain('missing')
  })

  test('an edited document is found, but for what nothing covers', async () => {
    const found: string[] = []
    const escaped = { manifest: new Set<string>(), late: new Set<string>() }
    for (const document of ['manifest', 'late'] as const) {
      const key = document === 'late' ? main.keys.late(1) : main.keys.manifest
      for (const damage of sampleOf(
        editsOf(document),
        5,
        ({ path = '' }) => guardedBy(document, path) !== undefined,
      )) {
        const { path = '' } = damage
        if (pathsThatDiffer(document, bytesOf(key, damage.objects)).length === 0) continue // an edit of nothing
        const by = guardedBy(document, path)
        const problem = await missed(damage)
        if (problem !== null && by === undefined) found.push(problem)
        if (problem !== null && by !== undefined) escaped[document].add(by)
      }
    }
    expect(found).toEqual([])
    // The list says neither too little nor too much.
    expect([...escaped.manifest].sort()).toEqual([...unguarded.manifest].sort())
    expect([...escaped.late].sort()).toEqual([...unguarded.late].sort())
  })

  test('a bit that is flipped in a document is found, but for what nothing covers', async () => {
    const wrong: string[] = []
    let flippedAndFound = 0
    const flips = rounds({ short: 30, full: 500 })
    for (let index = 0; index < flips; index++) {
      const document = index % 3 === 0 ? 'late' : 'manifest'
      const key = document === 'late' ? main.keys.late(1) : main.keys.manifest
      const bit = random(8 * bytesOf(key).length)
      const damage = replacedBy(`bit ${bit} flipped`, key, flipBit(bytesOf(key), bit))
      const problem = await missed({ ...damage, names: [] })
      if (problem === null) flippedAndFound++
      else if (
        !pathsThatDiffer(document, bytesOf(key, damage.objects)).every((path) => guardedBy(document, path))
      ) {
        wrong.push(`${problem}: …${bytesOf(key, damage.objects).subarray((bit >> 3) - 60, (bit >> 3) + 40)}…`)
      }
    }
    expect(wrong).toEqual([])
    expect(flippedAndFound).toBeGreaterThan(0.6 * flips)
  })

  test.runIf(isFull)(
    `a sample of the damages gives the same on an S3 that is asked over HTTP ${inFullForm}`,
    async () => {
      const real = { s3: backups.s3, name: backups.bucket, signing }
      const sample: Damage[] = []
      for (let index = 0; index < 20; index++) {
        const key = some(named.filter((one) => bytesOf(one).length > 0))
        const bytes =
          index % 2 === 0 ? flipBit(bytesOf(key), random(8 * bytesOf(key).length)) : Buffer.from('other')
        sample.push({
          title: key,
          names: [key],
          objects: changed(main.objects, { [key]: index % 5 === 0 ? null : bytes }),
        })
      }
      sample.push(...[...editsOf('late')].slice(0, 10))
      for (const damage of sample) {
        const changes = [...main.objects.keys()].filter(
          (key) => damage.objects.get(key) !== main.objects.get(key),
        )
        for (const key of changes) await put(key, damage.objects.get(key))
        const verdict = await verdictOn(real)
        for (const key of changes) await put(key, main.objects.get(key))
        expect(verdict, damage.title).toEqual(await verdictOf(damage))
      }
      expect(await verdictOn(real)).toMatchObject({ ok: true })
    },
  )

  test('those were as many damaged backups as the claim says', () => {
    tried('damaged backups', { damages: cases })
    expect(cases).toBeGreaterThan(isFull ? 2_000 : 150)
  })
})

async function put(Key: string, Body: Buffer | undefined): Promise<void> {
  const Bucket = backups.bucket
  await backups.s3.send(
    Body === undefined
      ? new DeleteObjectCommand({ Bucket, Key })
      : new PutObjectCommand({ Bucket, Key, Body }),
  )
}

/** Every value of a document changed, swapped with its like, removed, doubled. */
function* editsOf(document: 'manifest' | 'late'): Generator<Damage> {
  const json: Manifest | Late = parsed(document)
  // One column is like another, and none is covered: the first of each table is enough.
  const isOther = ({ path }: { path: (string | number)[] }) => path[3] === 'columns' && Number(path[4]) > 0
  const leaves = leavesOf(json).filter((leaf) => !isOther(leaf))
  for (const { path, value } of leaves) {
    const name = pathName(document, path)
    for (const other of otherValues(value, random)) {
      yield edited(
        document,
        withValue(json, path, other),
        name,
        `${JSON.stringify(value)} → ${JSON.stringify(other)}`,
      )
    }
    const alike = leaves.find(
      (one) => one.value !== value && nameOf(one.path) === nameOf(path) && one.value !== null,
    )
    if (alike !== undefined && value !== null) {
      const swapped = withValue(withValue(json, path, alike.value), alike.path, value)
      yield edited(document, swapped, name, `${JSON.stringify(value)} ⇄ ${JSON.stringify(alike.value)}`)
    }
  }
  for (const { path, value } of nodesOf(json).filter((node) => !isOther(node))) {
    for (const name of Object.keys(value)) {
      const inner = [...path, Array.isArray(value) ? Number(name) : name]
      yield edited(document, without(json, inner), pathName(document, inner), 'removed')
      if (Array.isArray(value)) {
        const doubled = withValue(json, path, [...value, value[Number(name)]])
        yield edited(document, doubled, pathName(document, inner), 'doubled')
      } else {
        yield edited(
          document,
          withValue(json, [...path, `${name}_`], value[name]),
          nameOf(path) || 'top',
          'added',
        )
      }
    }
    if (path.length > 0) {
      const name = pathName(document, path)
      yield edited(document, withValue(json, path, Array.isArray(value) ? [] : {}), name, 'emptied')
      yield edited(document, withValue(json, path, null), name, 'nulled')
    }
  }
}

function pathsThatDiffer(document: 'manifest' | 'late', bytes: Buffer): string[] {
  const before = leavesOf(parsed(document))
  const after = leavesOf(JSON.parse(bytes.toString()))
  if (before.length !== after.length) return ['the number of values']
  return before
    .filter(({ value }, index) => value !== after[index]?.value)
    .map(({ path }) => pathName(document, path))
}
