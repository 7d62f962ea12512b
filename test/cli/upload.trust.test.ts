import { createHash } from 'node:crypto'
import { appendFile, cp, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listBackups, listedBackup } from '../../lib/backup/list.ts'
import { resolveBackup } from '../../lib/backup/naming/resolve.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import { type Clients, makeClients } from '../../lib/clients.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { backupLine } from '../../local/cli/commands/backups.ts'
import { upload } from '../../local/cli/upload/upload.ts'
import { type Backups, prefix, startBackups } from '../backup/real-backups.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { holding, type S3Request, startFront } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { endOf, runScript, spawnScript } from './run-script.ts'

/** As startBackups puts them there. */
const stories = ['', 'a b+c.txt', 'world/1.txt', 'world/2.txt', 'z/ä/💎 \u0001.txt', 'z/\uffee.txt', 'leer']

let backups: Backups
let clients: Clients
let root: string
let brought: string
/** The backup that was brought into the folder, and one that a run has taken since. */
let [from, newest] = ['', '']
let before: Awaited<ReturnType<typeof look>>

const cli = (...args: string[]) => runScript('cli', [...args, '--json'], { env: backups.env })
const nobody = new AbortController().signal
const bring = (folder: string, wanted: Partial<Parameters<typeof upload>[1]> = {}) =>
  upload(clients, { folder, by: 'cli test', report() {}, signal: nobody, ...wanted })

/** Of each table an MD5, of each file one, of each key what DUMP gives. */
async function look() {
  const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex')
  const tables: string[] = []
  for (const table of ['users', 'worlds', '"Odd ""name/%"', 'nothing']) {
    const { rows } = await backups.sql.query(
      `SELECT md5(coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), '')) AS md5 FROM ${table} AS r`,
    )
    tables.push(rows[0]?.md5)
  }
  const sequence = (await backups.sql.query('SELECT last_value, is_called FROM users_id_seq')).rows[0]
  const files: [string, string][] = []
  for (const key of stories) {
    const found = await clients.files.s3.send(
      new GetObjectCommand({ Bucket: clients.files.name, Key: `${backups.env.FILES_PREFIX}${key}` }),
    )
    files.push([key, md5(Buffer.from((await found.Body?.transformToByteArray()) ?? []))])
  }
  const keys = (await backups.redis.keys('*')).filter((key) => !key.startsWith('taskmaster:')).sort()
  const dumps = await Promise.all(
    keys.map(async (key) => [key, md5((await backups.redis.dumpBuffer(key)) ?? '')]),
  )
  return { tables, sequence, files, dumps }
}

const manifests = async () =>
  [...(await backups.read(prefix)).keys()].filter((key) => key.endsWith('/manifest.json'))

beforeAll(async () => {
  if (!isFull) return
  backups = await startBackups()
  clients = await makeClients()
  root = await mkdtemp(join(tmpdir(), 'upload-'))
  brought = join(root, 'brought')
  await backups.fill('upload')
  await backups.redis.set('page:long', 'x'.repeat(3_000_000))
  backups.onBeforeWipe(async () => {
    await backups.sql.query(`UPDATE users SET name = 'late' WHERE id > 100`)
    await backups.redis.set('page:3', 'late')
    before = await look()
  })
  const taken = await backups.run({ operation: 'reset', strategy: 'full', confirm: 'local' })
  from = taken.backupId ?? ''
  expect((await cli('download', from, brought)).json).toMatchObject({ tables: 4, files: 7, keys: 29 })
  backups.onBeforeWipe(async () => {})
  for (const some of Array.from({ length: 20 }, (_, at) => String(at).repeat(100_000)))
    await backups.redis.rpush('long', some)
  expect(await readFile(join(brought, 'late-2.json'), 'utf8')).toContain('public.users')
  newest = (await backups.run({ operation: 'backup' })).backupId ?? ''
})
afterAll(async () => {
  if (!isFull) return
  await Promise.all([backups.stop(), rm(root, { recursive: true, force: true })])
})

describe('the folder of a download', () => {
  test.runIf(isFull)(
    `becomes a backup that gives the same rows, files and keys, and is never the latest ${inFullForm}`,
    async () => {
      const { code, json, stderr } = await cli('upload', brought)
      expect(stderr).toContain('files: 7 of 7')
      expect({ code, json }).toMatchObject({
        code: 0,
        json: { imported: { from }, tables: 4, files: 7, keys: 29, rehearsedAt: expect.any(String) },
      })
      expect(json.warnings.map(({ code }: { code: string }) => code)).toContain('FilesWithoutProperties')
      const whole: string = json.backupId
      // Large tables lie in several parts, of which no document tells what their rows add up to.
      const { backupId: id } = await bring(brought, { partBytes: 1_000 })
      const backup = await readBackup(clients.backups, prefix, id)
      expect(backup).toMatchObject({ authentic: 'signed', strategy: 'full', late: null, imported: { from } })
      const partsOf = (name: string) => backup.database?.tables.find((table) => table.name === name)?.parts
      expect(partsOf('public.users')?.length).toBeGreaterThan(3)
      expect(partsOf('public.nothing')).toMatchObject([{ key: null }])
      for (const name of ['latest', 'latest-rehearsed'])
        expect(await withConnection(clients, (sql) => resolveBackup(clients, sql, name))).toBe(newest)
      const { backups: list } = await listBackups(clients.backups, prefix)
      expect(list.find(({ backupId }) => backupId === id)).toMatchObject({ imported: { from } })
      // It stands where its data does, and is as old.
      expect(list.map(({ backupId }) => backupId)[0]).toBe(newest)
      const later = new Date(Date.parse(backup.startedAt) + 90 * 86_400_000)
      const summary = { ...listedBackup({ ...backup, sealedAt: later.toISOString() }), pinned: false }
      expect(backupLine(summary, later, { labels: [], note: null })).toContain('90 days old')
      const verified = await backups.run({ operation: 'verify', backupId: id, rehearse: true })
      expect(verified).toMatchObject({ status: 'succeeded', subject: { state: 'rehearsed' } })
      const restored = await backups.run({
        ...{ operation: 'restore', backupId: id, confirm: 'local', exact: true },
      })
      expect(restored.error ?? null).toBeNull()
      expect(await look()).toEqual(before)

      // A run takes nothing over from it, and its retention is its own.
      const next = await backups.run({ operation: 'backup' })
      expect(next.targets?.database?.takenOver?.backupId).not.toBe(id)
      const pruned = await prune({ ...clients, config: { ...clients.config, RETENTION_LAST: 1 } })
      const kept = pruned.backups.filter(({ keep }) => keep).map(({ backupId }) => backupId)
      expect(kept).toContain(next.backupId)
      expect(kept).toContain(id)
      expect(kept).not.toContain(whole)
      expect(pruned.backups.find(({ backupId }) => backupId === id)?.reasons).toEqual([
        'number 1 of the last 1 (imported full)',
      ])
      const gone = await backups.run({ operation: 'delete', backupId: id, confirm: 'local' })
      expect(gone).toMatchObject({ subject: { state: 'deleted' } })
    },
  )

  test.runIf(isFull)(
    `is refused by name, and leaves no backup, where it is not what was brought ${inFullForm}`,
    async () => {
      const sealed = await manifests()
      const swap = (name: string, one: string | RegExp, other: string) => async (folder: string) => {
        const file = join(folder, name)
        const text = await readFile(file, 'utf8')
        expect(text).toMatch(one)
        await writeFile(file, text.replace(one, other))
      }
      const users = 'database/public.users.jsonl'
      const forged: [what: string, forge: (folder: string) => Promise<unknown>, error: RegExp][] = [
        ['a name', swap('manifest.json', '"public.users"', '"public.uzers"'), /BackupDamaged: manifest.json/],
        ['unsigned', swap('manifest.json', /,"(digest|signature)".*$/s, '}'), /BackupUnsigned/],
        [
          'no note of a download',
          (folder) => rm(join(folder, '.download.json')),
          /InvalidRequest: .* was not made by download/,
        ],
        [
          'not finished',
          swap('.download.json', '"complete":true', '"complete":false'),
          /InvalidRequest: .* not finished/,
        ],
        ['one row less', swap(users, /^.*\n/, ''), /BackupDamaged: database\/public.users.jsonl/],
        [
          'another value',
          swap(users, /"name":"./, '"name":"!'),
          /BackupDamaged: The rows .* public.users has/,
        ],
        ['no JSON', swap(users, /^./, '('), /BackupDamaged: .*public.users/],
        ['a line that does not end', (folder) => truncate(join(folder, users), 100), /BackupDamaged/],
        [
          'no table',
          (folder) => rm(join(folder, users)),
          /BackupDamaged: database\/public.users.jsonl .*cannot be read/,
        ],
        [
          'a link',
          async (folder) => {
            await rename(join(folder, users), join(root, 'elsewhere'))
            await symlink(join(root, 'elsewhere'), join(folder, users))
          },
          /BackupDamaged: database\/public.users.jsonl/,
        ],
        [
          'a folder that is a link',
          async (folder) => {
            await cp(join(folder, 'files'), join(root, 'files elsewhere'), { recursive: true })
            await rm(join(folder, 'files'), { recursive: true })
            await symlink(join(root, 'files elsewhere'), join(folder, 'files'))
          },
          /BackupDamaged: files\/.* no plain file of this folder/,
        ],
        [
          'a path that leads out',
          swap('files.jsonl', /"path":"[^"]*"/, '"path":"../../../etc/passwd"'),
          /BackupDamaged: files.jsonl .*names another path/,
        ],
        [
          'another size',
          (folder) => appendFile(join(folder, 'files/leer'), '!'),
          /BackupDamaged: files\/leer/,
        ],
        ['one file less', swap('files.jsonl', /^.*\n/, ''), /BackupDamaged: files.jsonl .*in place of 7/],
        [
          'the mark of an environment',
          swap(
            'files.jsonl',
            /^/,
            `{"key":"../../.taskmaster","size":0,"etag":"a","copyEtag":"a","path":"x"}\n`,
          ),
          /BackupDamaged: files.jsonl/,
        ],
        ['a key less', swap('cache.jsonl', /^.*\n/, ''), /BackupDamaged: cache.jsonl/],
        [
          'a key of ours',
          swap('cache.jsonl', '"page:4"', '"taskmaster:environment"'),
          /BackupDamaged: cache.jsonl/,
        ],
        [
          'a value that is none',
          swap('cache.jsonl', '"type":"list"', '"type":"zset"'),
          /BackupDamaged: cache.jsonl .*describes no key/,
        ],
      ]
      for (const [what, forge, error] of forged) {
        const folder = join(root, what)
        await cp(brought, folder, { recursive: true })
        await forge(folder)
        const ended = await bring(folder).catch((error: Error) => `${error.name}: ${error.message}`)
        expect(ended, what).toMatch(error)
      }
      // Of a backup in which no key is there twice their bytes are known: half of a long key is not the key.
      const unchanged = join(root, 'unchanged')
      await cli('download', newest, unchanged)
      const lines = (await readFile(join(unchanged, 'cache.jsonl'), 'utf8')).split('\n')
      const last = lines.findLastIndex((line) => line.includes('"part":'))
      expect(lines[last]).toContain('"key":"long"')
      await writeFile(join(unchanged, 'cache.jsonl'), lines.toSpliced(last, 1).join('\n'))
      await expect(bring(unchanged)).rejects.toThrow(/^cache.jsonl .* bytes in place of/)
      const old = { ...clients, config: { ...clients.config, ENVIRONMENT: 'production' } }
      await expect(
        upload(old, { folder: brought, by: 'x', report() {}, signal: nobody }),
      ).rejects.toMatchObject({ name: 'ForeignBackup' })
      // Where a restore puts files into the whole bucket, one would be the mark of the environment.
      const marked = join(root, 'mark')
      await cp(brought, marked, { recursive: true })
      const mark = { key: '.taskmaster/environment.json', path: 'files/.taskmaster/environment.json' }
      const line = JSON.stringify({ ...mark, size: 1, etag: 'a', copyEtag: 'a' })
      await swap('files.jsonl', /\n/, `\n${line}\n`)(marked)
      const everything = { ...clients, config: { ...clients.config, FILES_PREFIX: '' } }
      await expect(
        upload(everything, { folder: marked, by: 'x', report() {}, signal: nobody }),
      ).rejects.toThrow(/files.jsonl .* no file of the application/)
      await backups.sql.query('ALTER TABLE worlds RENAME TO planets')
      await expect(bring(brought)).rejects.toMatchObject({ name: 'SchemaChanged' })
      await backups.sql.query('ALTER TABLE planets RENAME TO worlds')
      expect(await manifests()).toEqual(sealed)
      const { rows } = await backups.sql.query(
        `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'taskmaster_scratch_%'`,
      )
      expect(rows).toEqual([])
      // What was begun of them is nobody's any more.
      const { leftovers } = await prune(clients, { dryRun: false })
      expect(leftovers.length).toBeGreaterThan(5)
      const folders = new Set([...(await backups.read(prefix)).keys()].map((key) => key.split('/')[2]))
      expect([...folders].sort()).toEqual(sealed.map((key) => key.split('/')[2]).sort())
    },
  )

  test.runIf(isFull)(
    `is not uploaded beside a run, gives way to one that begins, and is nothing when it is interrupted ${inFullForm}`,
    async () => {
      const sealed = await manifests()
      let during: unknown
      backups.onState(async (state) => {
        if (state === 'Seal') during ??= await bring(brought).catch((error: Error) => error)
      })
      await backups.run({ operation: 'backup' })
      backups.onState(async () => {})
      expect(during).toMatchObject({ name: 'RunActive' })

      const stop = new AbortController()
      stop.abort(new Error('interrupted'))
      await expect(bring(brought, { signal: stop.signal })).rejects.toThrow('interrupted')

      const front = await startFront(backups.env.AWS_ENDPOINT_URL_S3 ?? '')
      const variables = { AWS_ENDPOINT_URL_S3: front.url }
      const isOfCache = ({ method, key }: S3Request) => method === 'PUT' && key.includes('/cache/')
      const held = holding(isOfCache)
      front.faults = [held.fault]
      const child = spawnScript('cli', ['upload', brought], { env: { ...backups.env, ...variables } })
      const interrupted = endOf(child)
      await held.arrived
      // npm passes Ctrl-C on, so that it comes twice, and not as late as from somebody who is impatient.
      child.kill('SIGINT')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
      child.kill('SIGINT')
      held.release()
      const { code, stderr } = await interrupted
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('BackupIncomplete: The upload was interrupted'),
      })
      expect((await prune(clients, { dryRun: true })).leftovers).toHaveLength(2)

      // A run that begins when the files are written holds the lock from before the upload goes on until it has seen that.
      const [begun, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      backups.onState(async (state) => {
        if (state !== 'Seal') return
        begun.resolve()
        await gone.promise
      })
      front.faults = [
        async (request) => {
          if (isOfCache(request)) await begun.promise
          return undefined
        },
      ]
      let running: Promise<unknown> | undefined
      const gave = await upload(await withVariables(variables, makeClients), {
        folder: brought,
        by: 'x',
        signal: nobody,
        report(text) {
          if (text === 'files: 7 of 7') running = backups.run({ operation: 'backup' })
        },
      })
        .catch((error: Error) => error)
        .finally(gone.resolve)
      const ended = await running
      backups.onState(async () => {})
      await front.stop()
      expect(ended).toMatchObject({ status: expect.stringMatching(/^succeeded/) })
      expect(gave).toMatchObject({ name: 'RunActive' })
      expect((await manifests()).length).toBe(sealed.length + 2)
    },
  )
})
