import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { currentClients } from '../../lib/task.ts'
import { backupBucket, filesPrefix, quickReset, withVariables } from '../e2e/reset-stack.ts'
import { strange, withDigest } from '../support/signing.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useApi } from './api-stack.ts'

let beforeTask: (state: string) => Promise<void> = async () => {}
const api = useApi({ beforeTask: (state) => beforeTask(state) })
const root = (backupId: string) => `.taskmaster/backups/${backupId}/`
let first: string
let second: string

beforeAll(async () => {
  await api.reset.seed({ users: 20, files: 3, keys: 4 })
  await api.reset.put(`${filesPrefix}Märchen & so/1.txt`, 'Es war einmal')
  await api.reset.stack.sql.query('CREATE TABLE "Odd name" (id int); INSERT INTO "Odd name" VALUES (7)')
  first = (await api.follow({ operation: 'backup', rehearse: true })).backupId
  await setTimeout(1_001 - (Date.now() % 1_000)) // an id tells seconds: two of the same one have no order
  second = (await api.follow({ operation: 'backup', rehearse: true })).backupId
})

const partOf = (backupId: string, part: string) => `/v1/backups/${backupId}/parts/${encodeURIComponent(part)}`

test('backups are listed newest first, with what they hold and how they were proved', async () => {
  const { body } = await api.ask('GET', '/v1/backups', { as: 'read' })
  expect(body.backups.map(({ backupId }: { backupId: string }) => backupId)).toEqual([second, first])
  expect(body.backups[0]).toMatchObject({
    environment: 'local',
    strategy: 'full',
    rehearsedAt: expect.any(String),
    files: 4,
    keys: 5,
    pinned: false,
  })
  expect(body.unreadable).toEqual([])
})

test('backups come in pages, which the header Link joins', async () => {
  const one = await api.ask('GET', '/v1/backups?limit=1')
  expect(one.body).toMatchObject({ backups: [{ backupId: second }], next: second })
  expect(one.headers.get('link')).toBe(`</v1/backups?limit=1&before=${second}>; rel="next"`)
  const two = await api.ask('GET', `/v1/backups?limit=1&before=${second}`)
  expect(two.body).toMatchObject({ backups: [{ backupId: first }], next: null })
  expect(two.headers.get('link')).toBeNull()
  for (const query of ['before=..', 'limit=0', 'limit=1001'])
    expect((await api.ask('GET', `/v1/backups?${query}`)).status).toBe(400)
})

test('of the backups those are listed that are asked for, with why they are kept', async () => {
  const ids = async (query: string) => {
    const { status, body } = await api.ask('GET', `/v1/backups?${query}`)
    return status === 200 ? body.backups.map(({ backupId }: { backupId: string }) => backupId) : status
  }
  for (const [query, found] of [
    ['strategy=full', [second, first]],
    ['strategy=cache-only', []],
    ['pinned=false', [second, first]],
    ['pinned=true', []],
    ['label=nobody', []],
    [`q=${first.slice(-6).toUpperCase()}`, first.endsWith(second.slice(-6)) ? [second, first] : [first]],
    ['q=no-such-text', []],
    ['pinned=perhaps', 400],
    [`q=${'x'.repeat(101)}`, 400],
  ] as const)
    expect([query, await ids(query)]).toEqual([query, found])
  // What is left out counts for the page, which leads on.
  const { body: page } = await api.ask('GET', `/v1/backups?limit=1&q=${first}`)
  expect(page).toMatchObject({ backups: [], next: second })
  await withVariables({ RETENTION_LAST: '1' }, async () => {
    const { backups } = (await api.ask('GET', '/v1/backups?kept=true', { as: 'read' })).body
    expect(backups[0].kept).toContain('number 1 of the last 1 (full)')
    expect(backups[1].kept).toEqual([]) // the next prune lets it go
    for (const { backupId, kept } of backups)
      expect((await api.ask('GET', `/v1/backups/${backupId}?kept=true`, { as: 'read' })).body.kept).toEqual(
        kept,
      )
  })
  expect((await api.ask('GET', `/v1/backups/${first}`)).body.kept).toBeNull()
  expect((await api.ask('GET', '/v1/backups')).body.backups[0].kept).toBeNull()
})

test('the status tells the newest proved backup against the schedule, what comes next, and the last thirty nights', async () => {
  const { body: list } = await api.ask('GET', '/v1/backups')
  const bytes = list.backups.reduce((sum: number, backup: { bytes: number }) => sum + backup.bytes, 0)
  const { body: plain } = await api.ask('GET', '/v1/status', { as: 'read' })
  expect(plain).toMatchObject({
    lastProved: { backupId: second, strategy: 'full', rehearsedAt: expect.any(String) },
    ...{
      dueEveryHours: null,
      next: null,
      labelled: [],
      unseenLabels: [],
      backups: { count: 2, bytes, older: 0 },
    },
  })
  expect(plain.nights).toHaveLength(30)
  const { runs } = (await api.ask('GET', '/v1/runs')).body
  // It may be past midnight by now.
  const nightOf = (status: typeof plain, day: string) =>
    status.nights.find((night: { day: string }) => night.day === day)
  const today = runs[0].startedAt.slice(0, 10)
  expect(nightOf(plain, today)).toEqual({
    ...{ day: today, runId: runs[0].runId, operation: 'backup', status: 'succeeded' },
  })
  expect(plain.nights[0]).toMatchObject({ runId: null, status: null })
  expect(plain.storage.reduce((sum: number, one: { bytes: number }) => sum + one.bytes, 0)).toBe(bytes)

  const nightly = { name: 'nightly', expression: 'cron(0 3 * * ? *)', operation: 'backup' }
  const hourly = { name: 'hourly', expression: 'rate(1 hour)', operation: 'backup', strategy: 'cache-only' }
  // A run of the schedule says how a night went, not one that somebody started later; a dry run says nothing.
  const { admin } = api.reset.stack
  const { day } = plain.nights[10]
  const noon = new Date(`${day}T12:00:00Z`)
  await admin.query(
    `INSERT INTO taskmaster_reset.runs (run_id, operation, request_digest, status, phase, requested_by, plan, started_at, finished_at)
     SELECT run_id, 'reset', '', status, 'Finish', requested_by, plan::jsonb, $1::timestamptz + at::interval, $1
     FROM (VALUES ('of-schedule', 'failed', 'schedule', NULL, '-9 hours'), ('by-hand', 'succeeded', 'api:ci', NULL, '0'),
       ('dry', 'succeeded', 'schedule', '{"dryRun": true}', '1 hour')) AS given (run_id, status, requested_by, plan, at)`,
    [noon],
  )
  await withVariables({ SCHEDULES: JSON.stringify([hourly, nightly]) }, async () => {
    const { body: due } = await api.ask('GET', '/v1/status')
    expect(due).toMatchObject({ dueEveryHours: 24, next: { name: 'nightly', to: null } })
    expect(due.next.at).toMatch(/T03:00:00\.000Z$/)
    expect(nightOf(due, day)).toMatchObject({ runId: 'of-schedule', status: 'failed' })
  })
  await admin.query(`DELETE FROM taskmaster_reset.runs WHERE run_id IN ('of-schedule', 'by-hand', 'dry')`)
})

test('one is named by its label, the beginning of its id, or as the latest, and tells what it is called and what took it', async () => {
  const label = await api.ask('PATCH', `/v1/backups/${first}`, { body: { label: 'baseline', note: 'Mine' } })
  expect([label.status, label.body]).toEqual([
    200,
    { backupId: first, labels: ['baseline'], note: 'Mine', pinned: false },
  ])
  for (const [name, found] of [
    ['baseline', first],
    ['latest', second],
    [first.slice(0, -1), first],
  ])
    expect((await api.ask('GET', `/v1/backups/${name}`)).body.backupId).toBe(found)
  const named = { labels: ['baseline'], note: 'Mine', run: { operation: 'backup', requestedBy: 'api:all' } }
  const { body: list } = await api.ask('GET', '/v1/backups?label=baseline')
  expect(list.backups).toMatchObject([{ backupId: first, ...named }])
  expect((await api.ask('GET', '/v1/backups?q=mine')).body.backups).toMatchObject([{ backupId: first }])
  await withVariables({ RETENTION_LAST: '1' }, async () => {
    const { backups } = (await api.ask('GET', '/v1/backups?kept=true')).body
    expect(backups[1].kept).toContain('labelled "baseline"') // the page says what the next prune would do
  })
  const { body: status } = await api.ask('GET', '/v1/status')
  expect(status.labelled).toMatchObject([{ label: 'baseline', backupId: first }])
  const none = await api.ask('GET', '/v1/backups/nobody')
  expect([none.status, none.body.title]).toEqual([404, 'UnknownBackup'])
  const moved = await api.ask('PATCH', '/v1/backups/latest', { body: { label: 'baseline' } })
  expect(moved.body).toMatchObject({ backupId: second, labels: ['baseline'], note: null })
  const gone = await api.ask('PATCH', '/v1/backups/baseline', { body: { label: null } })
  expect(gone.body).toMatchObject({ backupId: second, labels: [] })
  const bare = await api.ask('PATCH', `/v1/backups/${first}`, { body: { note: null } })
  expect(bare.body).toMatchObject({ labels: [], note: null })
})

test('while the names cannot be read backups are listed without them, and none is said to have no label', async () => {
  const away = new URL(api.reset.stack.env.DATABASE_URL ?? '')
  away.port = '1'
  await withVariables({ DATABASE_URL: away.href, DATABASE_WEBSOCKET_PROXY: '127.0.0.1:1' }, async () => {
    const { body } = await api.ask('GET', '/v1/backups')
    expect(body.backups).toMatchObject([{ backupId: second, labels: null }, { labels: null }])
    const labelled = await api.ask('GET', '/v1/backups?label=baseline')
    expect([labelled.status, labelled.body.title]).toEqual([503, 'StoreUnavailable'])
  })
})

test('why backups are kept is looked at once for all who ask, and again when one of them has changed', async () => {
  const clients = await currentClients()
  const heads: string[] = []
  clients.backups.s3.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName === 'HeadObjectCommand') heads.push(commandName)
        return next(args)
      },
    { step: 'initialize', name: 'counting' },
  )
  const ask = async () => (await api.ask('GET', '/v1/backups?kept=true', { as: 'read' })).body.backups[1].kept
  await api.ask('PUT', `/v1/backups/${first}/pin`, { body: { pinned: true } })
  heads.length = 0
  const answers = await Promise.all(Array.from({ length: 10 }, ask))
  const looked = heads.length
  await ask()
  expect(heads.length).toBe(looked)
  expect(looked).toBeLessThan(5) // one for each folder, and not for each who asks
  for (const answer of answers) expect(answer).toContain('pinned')
  await api.ask('PUT', `/v1/backups/${first}/pin`, { body: { pinned: false } })
  expect(await ask()).not.toContain('pinned')
  clients.backups.s3.middlewareStack.remove('counting')
})

test.runIf(isFull)(
  `backups are listed without why they are kept where that takes long ${inFullForm}`,
  async () => {
    const clients = await currentClients()
    await api.ask('PUT', `/v1/backups/${first}/pin`, { body: { pinned: false } }) // what was looked at is forgotten
    clients.backups.s3.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          if (commandName === 'HeadObjectCommand') await setTimeout(10_000)
          return next(args)
        },
      { step: 'initialize', name: 'slow' },
    )
    const { status, body } = await api.ask('GET', '/v1/backups?kept=true')
    clients.backups.s3.middlewareStack.remove('slow')
    expect([status, body.backups[0].kept]).toEqual([200, null])
  },
)

test('one that cannot be understood is listed with the reason, and is no 404', async () => {
  const backupId = '2020-01-01T00-00-00Z-000000'
  await api.reset.put(`${root(backupId)}manifest.json`, '{"version":1}', backupBucket)
  const { body } = await api.ask('GET', '/v1/backups')
  const one = await api.ask('GET', `/v1/backups/${backupId}`)
  await api.reset.remove(backupBucket, [`${root(backupId)}manifest.json`])
  expect(body.unreadable).toEqual([{ backupId, reason: expect.stringContaining('is damaged') }])
  expect([one.status, one.body.title]).toEqual([422, 'BackupDamaged'])
})

test('what a token with the scope read is told of a backup and its run has no seed of fingerprints in it', async () => {
  const { database, runId } = await api.reset.manifestOf(second)
  const paths = ['/v1/options', '/v1/backups', `/v1/backups/${second}`, '/v1/runs', `/v1/runs/${runId}`]
  for (const path of paths) {
    const { status, body } = await api.ask('GET', path, { as: 'read' })
    expect(status).toBe(200)
    expect(JSON.stringify(body)).not.toContain(database?.seed)
  }
  expect((await api.ask('GET', partOf(second, 'manifest.json'), { as: 'read' })).status).toBe(403)
})

describe('a backup', () => {
  test('tells its tables and every object that it names', async () => {
    const { body } = await api.ask('GET', `/v1/backups/${second}`, { as: 'read' })
    const manifest = await api.reset.manifestOf(second)
    expect(body.tables.map(({ name, rows }: { name: string; rows: number }) => [name, rows])).toEqual(
      manifest.database?.tables.map(({ name, rows }) => [name, rows]),
    )
    const there = (await api.reset.objects(backupBucket, root(second)))
      .map(({ key, size }) => ({ part: key.slice(root(second).length), bytes: size }))
      .filter(({ part }) => !part.startsWith('files/'))
    const told = body.parts.map(({ part, bytes }: { part: string; bytes: number }) => ({ part, bytes }))
    expect(told).toHaveLength(there.length)
    expect(told).toEqual(expect.arrayContaining(there))
  })

  test('that there is none of is a 404, and what can be no id a 400', async () => {
    const gone = await api.ask('GET', '/v1/backups/2020-01-01T00-00-00Z-000000')
    const odd = await api.ask('GET', '/v1/backups/..%2F..%2Fsecrets')
    expect([gone.status, gone.body.title]).toEqual([404, 'NotFound'])
    expect([odd.status, odd.body.title]).toEqual([400, 'InvalidRequest'])
  })
})

describe('a part', () => {
  test('is downloaded by an address that needs no token and is good for five minutes', async () => {
    const { body: backup } = await api.ask('GET', `/v1/backups/${second}`)
    for (const { part, bytes } of backup.parts) {
      const asked = Date.now()
      const { status, body } = await api.ask('GET', partOf(second, part), { as: 'restore' })
      expect(status).toBe(200)
      const signedAt = Date.parse(body.expiresAt) - 300_000
      expect(signedAt).toBeGreaterThan(asked - 1_000) // a signature is of a second
      expect(signedAt).toBeLessThanOrEqual(Date.now())
      expect(new URL(body.url).searchParams.get('X-Amz-Expires')).toBe('300')
      const object = Buffer.from(await (await fetch(body.url)).arrayBuffer())
      expect(object.length).toBe(bytes)
      expect(object).toEqual(await api.reset.bytesOf(`${root(second)}${part}`))
    }
  })

  test('is what the manifest says: the rows of a table with an odd name', async () => {
    const { key, sha256 } = (await api.reset.manifestOf(second)).database?.tables.find(
      ({ table }) => table === 'Odd name',
    )?.parts[0] ?? { key: null, sha256: null }
    const part = String(key).slice(root(second).length)
    expect(part).toContain('%20')
    const { body } = await api.ask('GET', partOf(second, part))
    const object = Buffer.from(await (await fetch(body.url)).arrayBuffer())
    expect(createHash('sha256').update(object).digest('hex')).toBe(sha256)
    expect(zstdDecompressSync(object).toString()).toBe('{"id":7}\n')
    // As some gateways hand the path over: decoded once already.
    const decoded = await api.ask('GET', `/v1/backups/${second}/parts/${part}`)
    expect(new URL(decoded.body.url).pathname).toBe(new URL(body.url).pathname)
  })

  test('may be the copy of a file', async () => {
    const { body } = await api.ask('GET', partOf(second, 'files/Märchen & so/1.txt'))
    expect(await (await fetch(body.url)).text()).toBe('Es war einmal')
    // The embedded S3 leaves this parameter unheeded, so its effect cannot be looked at here.
    const disposition = new URL(body.url).searchParams.get('response-content-disposition')
    expect(disposition).toBe("attachment; filename*=UTF-8''1.txt")
  })

  test('that the manifest does not name is a 404, even when such an object lies there', async () => {
    await api.reset.put(`${root(second)}left-over.txt`, 'of somebody', backupBucket)
    await api.reset.put(`${root(second)}files/never-copied.txt`, 'of somebody', backupBucket)
    const names = [
      'left-over.txt',
      'files/never-copied.txt',
      '../other',
      'database/',
      'files/',
      'pinned.json',
      'manifest.json.old', // S3 lists it with the manifest
    ]
    await api.reset.put(`${root(second)}manifest.json.old`, '{}', backupBucket)
    const { body: told } = await api.ask('GET', `/v1/backups/${second}`)
    const documents = told.parts.filter(({ kind }: { kind: string }) => kind === 'manifest')
    expect(documents.map(({ part }: { part: string }) => part)).toEqual(['manifest.json'])
    for (const part of [...names, `../${first}/manifest.json`]) {
      const { status, body } = await api.ask('GET', partOf(second, part))
      expect([part, status, body.title]).toEqual([part, 404, 'NotFound'])
    }
    await api.reset.remove(backupBucket, [
      `${root(second)}left-over.txt`,
      `${root(second)}files/never-copied.txt`,
      `${root(second)}manifest.json.old`,
    ])
  })

  test('is not for a token that may only read, back up, reset or delete', async () => {
    for (const as of ['read', 'backup', 'reset', 'delete']) {
      const { status, body } = await api.ask('GET', partOf(second, 'manifest.json'), { as })
      expect([status, body.requiredScope]).toEqual([403, 'restore'])
    }
  })

  test.runIf(isFull)(
    `that came late, because a row was written before the wipe, is named and can be downloaded ${inFullForm}`,
    async () => {
      beforeTask = async (state) => {
        if (state === 'Wipe database')
          await api.reset.stack.sql.query(`INSERT INTO users (name) VALUES ('late')`)
      }
      const { backupId } = await api.follow({ ...quickReset, strategy: 'database-only' })
      beforeTask = async () => {}
      const { body } = await api.ask('GET', `/v1/backups/${backupId}`)
      expect(body.lateAttempts).toBe(1)
      const late = body.parts
        .map(({ part }: { part: string }) => part)
        .filter((part: string) => /late-1/.test(part))
      expect(late).toEqual([
        'late-1.json',
        'database/public.users/late-1/00000.jsonl.zst',
        'database/public.users/late-1/00000.ranges',
      ])
      const noFile = await api.ask('GET', partOf(backupId, `files/one.txt`))
      expect([noFile.status, noFile.body.title]).toEqual([404, 'NotFound']) // it holds no files at all
      for (const part of late) {
        const { body: download } = await api.ask('GET', partOf(backupId, part))
        expect((await fetch(download.url)).status).toBe(200)
      }

      // A try of a wipe that came to nothing has signed its own as well; the one counts that a restore takes.
      const {
        digest: _,
        signature: __,
        ...noted
      } = JSON.parse((await api.reset.bytesOf(`${root(backupId)}late-1.json`)).toString())
      const { SIGNING_KEYS } = (await currentClients()).config
      const other = sealed(SIGNING_KEYS, { ...noted, attempt: 2, tables: [] })
      await api.reset.put(`${root(backupId)}late-2.json`, JSON.stringify(other), backupBucket)
      const again = await api.ask('GET', `/v1/backups/${backupId}`)
      expect(again.body).toEqual(body)
      expect((await api.ask('GET', partOf(backupId, 'late-2.json'))).status).toBe(404)
      expect((await api.ask('GET', partOf(backupId, late[1]))).status).toBe(200)
    },
  )
})

describe('deleting a backup', () => {
  test('is refused for a pinned one and for the newest; nothing is started', async () => {
    const pinned = await api.ask('PUT', `/v1/backups/${first}/pin`, { as: 'backup', body: { pinned: true } })
    expect([pinned.status, pinned.body]).toEqual([200, { backupId: first, pinned: true }])
    expect((await api.ask('GET', `/v1/backups/${first}`)).body.pinned).toBe(true)
    const before = await api.executions()
    for (const backupId of [first, second]) {
      const { status, body } = await api.ask('DELETE', `/v1/backups/${backupId}?confirm=local`)
      expect([status, body.title]).toEqual([422, 'BackupKept'])
    }
    const gone = await api.ask('DELETE', '/v1/backups/2020-01-01T00-00-00Z-000000?confirm=local')
    expect([gone.status, gone.body.title]).toEqual([404, 'NotFound'])
    expect(await api.executions()).toEqual(before)
  })

  test('is a run, of one that is pinned no longer; repeated with the same key it is the same run', async () => {
    const { body: unpinned } = await api.ask('PUT', `/v1/backups/${first}/pin`, {
      as: 'delete',
      body: { pinned: false },
    })
    expect(unpinned.pinned).toBe(false)
    const asked = { as: 'delete', headers: { 'idempotency-key': 'delete-first' }, body: { confirm: 'local' } }
    for (const none of ['', '%00']) {
      const { status, body } = await api.ask('DELETE', `/v1/backups/${first}?confirm=${none}`)
      expect([status, body.issues[0].path]).toEqual([400, 'confirm'])
    }
    const contradictory = await api.ask('DELETE', `/v1/backups/${first}?confirm=local`, {
      body: { confirm: 'production' },
    })
    expect([contradictory.status, contradictory.body.title]).toEqual([400, 'InvalidRequest'])
    expect(contradictory.body.detail).toContain('"local" in the query, "production" in the body')
    const { status, headers, body } = await api.ask('DELETE', `/v1/backups/${first}`, asked)
    expect([status, headers.get('location')]).toEqual([202, body.address])
    const run = await api.ended(body.runId)
    expect(run).toMatchObject({ operation: 'delete', status: 'succeeded', backupId: first })
    expect(await api.reset.objects(backupBucket, root(first))).toEqual([])
    const again = await api.ask('DELETE', `/v1/backups/${first}`, asked)
    expect([again.status, again.body.runId]).toEqual([202, body.runId])
  })

  test('a change of it wants something to change, and the scope of each thing', async () => {
    const path = `/v1/backups/${second}`
    const ask = async (as: string, body: object) => {
      const { status, body: answer } = await api.ask('PATCH', path, { as, body })
      return [status, answer.requiredScope ?? answer.pinned ?? answer.title]
    }
    expect(await ask('all', {})).toEqual([400, 'InvalidRequest'])
    for (const label of ['latest', 'Baseline', '2026', '', 'x'.repeat(40)])
      expect(await ask('all', { label })).toEqual([400, 'InvalidRequest'])
    for (const [as, change, missing] of [
      ['backup', { label: 'baseline' }, 'restore'],
      ['reset', { label: 'baseline' }, 'restore'],
      ['restore', { label: null }, 'delete'],
      ['restore', { note: 'mine' }, 'backup'],
      ['delete', { pinned: true }, 'backup'],
      ['backup', { pinned: false }, 'delete'],
    ] as const)
      expect(await ask(as, change)).toEqual([403, missing])
    expect(await ask('backup', { pinned: true })).toEqual([200, true])
    expect(await ask('delete', { pinned: false })).toEqual([200, false])
  })

  test('a change of it that is refused leaves the pin on it', async () => {
    const { admin } = api.reset.stack
    await admin.query(
      `INSERT INTO taskmaster_reset.labels (label, backup_id) SELECT 'taken-' || n, 'x' FROM generate_series(1, 20) n`,
    )
    const path = `/v1/backups/${second}`
    await api.ask('PATCH', path, { body: { pinned: true } })
    const refused = await api.ask('PATCH', path, { body: { pinned: false, label: 'one-more' } })
    expect([refused.status, refused.body.title]).toEqual([409, 'LabelRefused'])
    const { body } = await api.ask('GET', path)
    expect([body.pinned, body.labels]).toEqual([true, []])
    await admin.query('DELETE FROM taskmaster_reset.labels')
    const both = await api.ask('PATCH', path, { body: { pinned: false, label: 'one-more' } })
    expect(both.body).toMatchObject({ pinned: false, labels: ['one-more'] })
    await api.ask('PATCH', path, { body: { label: null } })
  })

  test('pinning wants a yes or a no, and a backup that is there', async () => {
    const odd = await api.ask('PUT', `/v1/backups/${second}/pin`, { body: { pinned: 'yes' } })
    const none = await api.ask('PUT', `/v1/backups/${first}/pin`, { body: { pinned: true } })
    expect([odd.status, odd.body.issues[0].path]).toEqual([400, 'pinned'])
    expect([none.status, none.body.title]).toEqual([404, 'NotFound'])
  })
})

test.runIf(isFull)(`a backup is verified by a run ${inFullForm}`, async () => {
  const run = await api.follow({ operation: 'verify', backupId: second, rehearse: true }, { as: 'backup' })
  expect(run).toMatchObject({
    status: 'succeeded',
    backupId: second,
    plan: { wipes: [], backsUp: [], rehearse: true },
  })
})

describe('a manifest', () => {
  /** Does something while the newest backup's manifest is another one. */
  async function whileItIs(edit: (manifest: Manifest) => object, act: () => Promise<void>): Promise<void> {
    const key = `${root(second)}manifest.json`
    const real = (await api.reset.bytesOf(key)).toString()
    const { digest: _, signature: __, ...manifest } = JSON.parse(real) as Manifest
    await api.reset.put(key, JSON.stringify(edit(manifest)), backupBucket)
    await act().finally(() => api.reset.put(key, real, backupBucket))
  }

  test.runIf(isFull)(
    'of sixty thousand parts is told in pages of them, each below the 6 MB that Lambda takes (full form)',
    async () => {
      const { SIGNING_KEYS } = (await currentClients()).config
      const keys = backupKeys('.taskmaster/backups/', second)
      const parts = Array.from({ length: 60_000 }, (_, n) => ({
        key: keys.cachePart(n, 1),
        bytes: 1,
        keys: 1,
        sha256: '0'.repeat(64),
      }))
      const warnings = [{ code: 'Long', message: '"'.repeat(2 ** 20) }]
      await whileItIs(
        (manifest) => {
          const cache = { ...manifest.cache, keys: parts.length, parts }
          return sealed(SIGNING_KEYS, { ...manifest, cache, warnings } as unknown as Manifest)
        },
        async () => {
          const told: string[] = []
          let path = `/v1/backups/${second}`
          for (let next: string | null = ''; next !== null; path = `/v1/backups/${second}?after=${next}`) {
            const { status, headers, body } = await api.ask('GET', path)
            expect([status, body.title]).toEqual([200, undefined])
            expect(Buffer.byteLength(JSON.stringify(JSON.stringify(body)))).toBeLessThan(6 * 2 ** 20)
            told.push(...body.parts.map(({ part }: { part: string }) => part))
            next = body.next === null ? null : encodeURIComponent(body.next)
            expect(headers.has('link')).toBe(next !== null)
          }
          expect(told.filter((part) => part.startsWith('cache/'))).toHaveLength(60_000)
          expect(new Set(told).size).toBe(told.length)
        },
      )
      const unknown = await api.ask('GET', `/v1/backups/${second}?after=nothing`)
      expect([unknown.status, unknown.body.title]).toEqual([400, 'InvalidRequest'])
    },
  )

  test('names for each file the copy that counts: an earlier one, of a try that was given up, is not given out', async () => {
    const { SIGNING_KEYS } = (await currentClients()).config
    const { key = '' } = (await api.reset.manifestOf(second)).files?.index ?? {}
    const real = await api.reset.bytesOf(key)
    const lines = zstdDecompressSync(real).toString().trimEnd().split('\n')
    const [name, other] = lines.map((line) => JSON.parse(line).key)
    const text = lines.map((line) =>
      JSON.stringify({ ...JSON.parse(line), ...(line.includes(name) && { copy: 2 }) }),
    )
    const object = zstdCompressSync(`${text.join('\n')}\n`)
    await api.reset.put(`${root(second)}files.2/${name}`, 'the copy that counts', backupBucket)
    await api.reset.put(key, object, backupBucket)
    const index = { key, bytes: object.length, sha256: createHash('sha256').update(object).digest('hex') }
    await whileItIs(
      (manifest) =>
        sealed(SIGNING_KEYS, { ...manifest, files: { ...manifest.files, index } } as unknown as Manifest),
      async () => {
        const address = async (path: string) =>
          new URL((await api.ask('GET', partOf(second, `files/${path}`))).body.url)
        expect(await (await fetch(await address(name))).text()).toBe('the copy that counts')
        expect((await address(other)).pathname).toContain(`/${second}/files/`)
      },
    ).finally(() => api.reset.put(key, real, backupBucket))
    await api.reset.remove(backupBucket, [`${root(second)}files.2/${name}`])
  })

  const authentic = async () => {
    const { body: one } = await api.ask('GET', `/v1/backups/${second}`)
    const { body } = await api.ask('GET', '/v1/backups')
    const listed = body.backups.find(({ backupId }: { backupId: string }) => backupId === second)
    expect(listed.authentic).toBe(one.authentic)
    return one.authentic
  }
  const verify = async (more: object) => {
    const request = { operation: 'verify', backupId: second, ...more }
    const started = await api.ask('POST', '/v1/runs', { body: request })
    if (started.status !== 202) return started.body.title
    const { status, error } = await api.ended(started.body.runId)
    return error?.name ?? status
  }

  test.runIf(isFull)(
    `of another environment is neither pinned nor downloaded nor verified, and never loaded, unless that is said ${inFullForm}`,
    async () => {
      const { SIGNING_KEYS } = (await currentClients()).config
      await whileItIs(
        (manifest) => sealed(SIGNING_KEYS, { ...manifest, environment: 'elsewhere' }),
        async () => {
          expect(await authentic()).toBe('signed')
          const pin = (body: object) => api.ask('PUT', `/v1/backups/${second}/pin`, { body })
          const part = (query = '') => api.ask('GET', `${partOf(second, 'manifest.json')}${query}`)
          for (const pinned of [true, false]) {
            const refused = await pin({ pinned })
            expect([refused.status, refused.body.title]).toEqual([422, 'ForeignBackup'])
          }
          expect((await pin({ pinned: true, allowForeign: true })).body.pinned).toBe(true)
          expect((await pin({ pinned: false, allowForeign: true })).body.pinned).toBe(false)
          expect((await part()).body.title).toBe('ForeignBackup')
          expect((await part('?allowForeign=false')).body.title).toBe('ForeignBackup')
          expect((await part('?allowForeign=true')).status).toBe(200)
          expect(await verify({ rehearse: false })).toBe('ForeignBackup')
          expect(await verify({ rehearse: false, allowForeign: true })).toBe('succeeded')
          expect(await verify({ rehearse: true, allowForeign: true })).toBe('ForeignBackup')
        },
      )
    },
  )

  test.runIf(isFull)(
    `that nobody known here signed is told as such, and loaded into no database unless that is said ${inFullForm}`,
    async () => {
      for (const [edit, what] of [
        [withDigest, 'unsigned'],
        [(manifest: Manifest) => sealed(strange, manifest), 'unknown key'],
      ] as const) {
        await whileItIs(edit, async () => {
          expect(await authentic()).toBe(what)
          expect(await verify({ rehearse: true })).toBe('BackupUnsigned')
          expect(await verify({ rehearse: true, allowUnsigned: true })).toBe('succeeded_with_warnings')
        })
      }
      await whileItIs(withDigest, async () =>
        expect(await verify({ rehearse: false })).toBe('succeeded_with_warnings'),
      )
      expect(await authentic()).toBe('signed')
    },
  )
})
