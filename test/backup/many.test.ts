import { describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { NoTime, readInTime, timeToLook } from '../../lib/backup/documents/in-time.ts'
import { pageOfBackups } from '../../lib/backup/list.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { setNames } from '../../lib/backup/naming/label.ts'
import { resolveBackup } from '../../lib/backup/naming/resolve.ts'
import { checkDeletable } from '../../lib/backup/retention/check-delete.ts'
import { reasonsToKeep } from '../../lib/backup/retention/kept.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import { schedules } from '../../lib/config/schedules.ts'
import { OutOfTime, UnknownBackup } from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { checkDelete, planDelete } from '../../lib/run/on-backup/delete.ts'
import { statusOf } from '../../lib/run/status/status.ts'
import { usePrune } from './prune-stack.ts'
import { prefix } from './real-backups.ts'
import { sampleBackup } from './sample-backup.ts'

const bucket = usePrune()
const hourMs = 3_600_000

/** A signed backup, taken so many hours before midnight of the 21st. */
function hour(
  ago: number,
  {
    random = 'aaaaaa',
    ...about
  }: Partial<Pick<Manifest, 'strategy' | 'rehearsedAt'>> & { random?: string } = {},
): string {
  const sealedAt = new Date(Date.parse('2026-11-21T00:00:00Z') - ago * hourMs).toISOString()
  const backupId = `${sealedAt.slice(0, 19).replaceAll(':', '-')}Z-${random}`
  const sample = sampleBackup({ backupId, sealedAt, ...about })
  const manifest = sealed(bucket.clients.backups.signing, sample.manifest)
  bucket.put(new Map([[sample.keys.manifest, Buffer.from(JSON.stringify(manifest))]]))
  return backupId
}

const hours = (from: number, to: number, strategy: string) =>
  Array.from({ length: to - from }, (_, at) => hour(from + at, { strategy }))

/** Clients that count what is asked of S3, and by whose clock each object that is read takes so long. */
function counting(settings: Parameters<typeof bucket.clientsWith>[0] = {}, getMs = 0) {
  const asked: Record<string, number> = {}
  const clients = bucket.clientsWith(settings, ({ constructor: { name } }, when) => {
    if (when === 'before') asked[name] = (asked[name] ?? 0) + 1
  })
  const began = Date.parse('2026-11-21T12:00:00Z')
  const now = () => new Date(began + (asked.GetObjectCommand ?? 0) * getMs)
  return { clients: { ...clients, now }, asked }
}

/** Folders of which none can be read, newer than all others: somebody else's, or what was begun and never sealed. */
function unreadable(count: number): void {
  const manifests = Array.from({ length: count }, (_, at): [string, Buffer] => [
    `${prefix}2026-11-22T00-00-00Z-${at.toString(16).padStart(6, '0')}/manifest.json`,
    Buffer.from('{"version":2}'),
  ])
  bucket.put(manifests)
}

describe('of very many backups', () => {
  test('the status looks at the newest, as many as there is time for; what it promises beside these it finds all the same', async () => {
    hours(0, 90, 'cache-only')
    const full = hour(100, { strategy: 'full', rehearsedAt: '2026-11-17T00:00:00.000Z' })
    await bucket.run({ operation: 'backup', strategy: 'full', backup_id: full, status: 'succeeded' })
    const seen = hour(200)
    await withConnection(bucket.clients, async (connection) => {
      await setNames(bucket.clients, connection, { backupId: full, label: 'baseline', by: null })
      await setNames(bucket.clients, connection, { backupId: seen, label: 'before', by: null })
    })
    const nightly = { name: 'nightly', expression: 'cron(0 3 * * ? *)', operation: 'backup' }
    const settings = { SCHEDULES: schedules.parse(JSON.stringify([nightly])) }
    const { clients, asked } = counting(settings, 100)
    const status = await statusOf(clients)
    const baseline = { label: 'baseline', backupId: full, pinned: false }
    expect(status).toMatchObject({
      backups: { count: 64, older: 28 },
      lastProved: { backupId: full, strategy: 'full' },
      labelled: [baseline, { label: 'before', backupId: seen, pinned: false }],
      unseenLabels: [],
    })
    const known = status.storage.filter(({ bytes }) => bytes !== null)
    expect(known.map(({ day }) => day)).toEqual(['2026-11-19', '2026-11-20', '2026-11-21'])
    // Of each of the 64 its manifest and what came late, and of the next 16, which were on their way, the manifest; of the two that are looked up also the pin; and the list.
    expect(asked).toEqual({ ListObjectsV2Command: 1 + 64 + 2, GetObjectCommand: 64 + 16 + 2 * 2 })
    // Where one alone takes all of the time, the one that proves most is read, and of the others it is said that they were not.
    expect(await statusOf(counting(settings, 9000).clients)).toMatchObject({
      backups: { count: 1, older: 91 },
      lastProved: { backupId: full },
      labelled: [baseline],
      unseenLabels: ['before'],
    })
  })

  test('a delete reads those that say whether it may, and not all', async () => {
    const [newest] = hours(0, 40, 'full')
    const old = hour(90)
    const check = (backupId: string, { clients } = counting()) =>
      withConnection(clients, (connection) => checkDeletable(clients, connection, { backupId }))
    const first = counting()
    await check(old, first)
    expect(first.asked.GetObjectCommand).toBeLessThan(40)
    await expect(check(newest as string)).rejects.toThrow('because of this: the newest full backup.')
    hours(41, 80, 'cache-only')
    const alone = hour(101, { strategy: 'files-only' })
    await expect(check(alone)).rejects.toThrow('because of this: the newest files-only backup.')
    // Two of one second, of which the newer one has the smaller id.
    const older = hour(110, { strategy: 'database-only', random: 'bbbbbb' })
    const newer = hour(109.9999, { strategy: 'database-only' })
    expect([older.slice(0, 20), older > newer]).toEqual([newer.slice(0, 20), true])
    await check(older)
    await expect(check(newer)).rejects.toThrow('because of this: the newest database-only backup.')
  })

  test('of which none can be read, an answer comes all the same: names are refused, a list leads on, a delete is left to its run', async () => {
    const [newest] = hours(0, 2, 'full')
    unreadable(400)
    const resolve = (name: string, { clients }: ReturnType<typeof counting>) =>
      withConnection(clients, (connection) => resolveBackup(clients, connection, name))
    for (const name of ['latest', 'latest-rehearsed']) {
      const slow = counting({}, 100)
      await expect(resolve(name, slow)).rejects.toThrow(UnknownBackup)
      expect(slow.asked.GetObjectCommand).toBe(80)
      await expect(resolve(name, counting({}, 100))).rejects.toThrow(
        /^There was no time to find what latest.* of 402 folders .*, \d+ were looked at\. Nothing was touched; say the whole id/,
      )
    }
    expect(await resolve('latest', counting())).toBe(newest)
    expect(await resolve('latest', counting({}, 1))).toBe(newest)

    const { clients } = counting({}, 1000)
    const { backups, config } = clients
    const seen: string[] = []
    for (let before: string | undefined, pages = 0; pages < 3; pages++) {
      const hasTime = timeToLook(clients)
      const page = await pageOfBackups(backups, config.BACKUP_PREFIX, { limit: 200, before }, hasTime)
      expect(page.backups).toEqual([])
      expect(page.next).toBe(page.unreadable.at(-1)?.backupId)
      seen.push(...page.unreadable.map(({ backupId }) => backupId))
      before = page.next ?? undefined
    }
    expect(seen.length).toBeGreaterThanOrEqual(3)
    expect(seen).toEqual([...new Set(seen)].sort().reverse())

    const asked = counting({}, 100)
    const request = {
      operation: 'delete',
      backupId: newest as string,
      confirm: 'local',
      dryRun: false,
    } as const
    await withConnection(asked.clients, (connection) => checkDelete(asked.clients, connection, request))
    expect(asked.asked.GetObjectCommand).toBeLessThan(100)
    const run = { runId: 'deletes', attempt: 0 }
    const planning = withConnection(asked.clients, (connection) =>
      planDelete(asked.clients, connection, { run, request }),
    )
    await expect(planning).rejects.toThrow('because of this: the newest full backup.')
  })

  test('of few that take long to read, a name is not said to mean none', async () => {
    hours(0, 2, 'full')
    unreadable(10)
    const { clients } = counting({}, 1000)
    const resolving = withConnection(clients, (connection) => resolveBackup(clients, connection, 'latest'))
    await expect(resolving).rejects.toThrow(/^There was no time to find what latest means: of 12 folders/)
  })

  test('what is read stands at its place: nothing counts behind the first that there was no time for', async () => {
    const [last, over] = [Promise.withResolvers<void>(), new AbortController()]
    const hasTime = () => !over.signal.aborted
    const found = readInTime(['a', 'b', 'c'], { hasTime, concurrency: 3 }, async (id, goesOn) => {
      if (id === 'c') last.resolve()
      await last.promise
      if (id === 'b') over.abort()
      if (id === 'b' && !goesOn()) throw new NoTime()
      return id
    })
    expect(await found).toEqual(['a'])
  })

  test('of which none can be read, why each is kept is not told, and is looked for no longer than there is time', async () => {
    hours(0, 2, 'full')
    unreadable(400)
    const { clients, asked } = counting({ RETENTION_LAST: 1 }, 100)
    expect(await reasonsToKeep.of(clients)).toBeUndefined()
    expect(asked.GetObjectCommand).toBeLessThan(100)
    const quick = counting({ RETENTION_LAST: 1 })
    expect((await reasonsToKeep.of(quick.clients))?.size).toBe(2)
  })

  test('a prune whose time is over reads no more of them, and deletes nothing', async () => {
    hours(0, 100, 'full')
    const over = new AbortController()
    let read = 0
    const clients = bucket.clientsWith({ RETENTION_LAST: 1 }, ({ constructor: { name } }, when) => {
      expect(name).not.toMatch(/^Delete/)
      if (when === 'before' && name === 'GetObjectCommand' && ++read === 30)
        over.abort(new OutOfTime('Over.'))
    })
    await expect(prune(clients, { dryRun: false, signal: over.signal })).rejects.toThrow(OutOfTime)
    expect(read).toBeLessThan(60)
  })

  test('why each is kept is told by a dry prune alone', async () => {
    bucket.put(
      new Map(
        Array.from({ length: 1001 }, (_, at) => [
          `${prefix}2026-11-01T00-00-00Z-${at.toString(16).padStart(6, '0')}/cache/00000.jsonl.zst`,
          Buffer.from('x'),
        ]),
      ),
    )
    const { clients, asked } = counting({ RETENTION_LAST: 1 })
    expect(await reasonsToKeep.of(clients)).toBeUndefined()
    expect(asked).toEqual({ ListObjectsV2Command: 2 })
  })
})
