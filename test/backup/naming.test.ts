import { beforeEach, describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { setNames } from '../../lib/backup/naming/label.ts'
import { namesOf } from '../../lib/backup/naming/names.ts'
import { resolveBackup } from '../../lib/backup/naming/resolve.ts'
import { checkDeletable } from '../../lib/backup/retention/check-delete.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import { AmbiguousBackup, InvalidRequest, LabelRefused, NotFound, UnknownBackup } from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { deleteBackup } from '../../lib/run/on-backup/delete.ts'
import { type Hook, usePrune } from './prune-stack.ts'
import { prefix } from './real-backups.ts'
import { sampleBackup } from './sample-backup.ts'

const bucket = usePrune()

/** A signed backup of that night, unless something else is said of it. */
function night(
  day: number,
  {
    isSigned = true,
    digits = 'aaaaaa',
    minute = 1,
    ...about
  }: { isSigned?: boolean; digits?: string; minute?: number } & Partial<
    Pick<Manifest, 'environment' | 'rehearsedAt' | 'imported'>
  > = {},
): string {
  const date = `2026-11-${String(day).padStart(2, '0')}`
  const backupId = `${date}T03-00-00Z-${digits}`
  const sample = sampleBackup({
    backupId,
    sealedAt: `${date}T03:${String(minute).padStart(2, '0')}:00.000Z`,
    ...about,
  })
  const manifest = isSigned ? sealed(bucket.clients.backups.signing, sample.manifest) : sample.manifest
  sample.objects.set(sample.keys.manifest, Buffer.from(JSON.stringify(manifest)))
  bucket.put(sample.objects)
  return backupId
}

const resolve = (name: string) =>
  withConnection(bucket.clients, (connection) => resolveBackup(bucket.clients, connection, name))
const name = (
  backupId: string,
  names: { label?: string | null; note?: string | null },
  clients = bucket.clients,
) =>
  withConnection(clients, (connection) => setNames(clients, connection, { backupId, by: 'anna', ...names }))
const named = (...ids: string[]) => withConnection(bucket.clients, (connection) => namesOf(connection, ids))

beforeEach(async () => {
  await bucket.stack.sql.query(`DROP TABLE IF EXISTS taskmaster_reset.labels, taskmaster_reset.notes`)
  const older = night(1)
  await name(older, { note: 'The ledger of an earlier version gets its tables' })
  bucket.put(
    new Map([[`${prefix}2026-11-30T03-00-00Z-bbbbbb/cache/00000.jsonl.zst`, Buffer.from('written')]]),
  )
})

describe('a backup is called', () => {
  test('by its id, by the beginning of one when no other begins so, and never by what is not sealed', async () => {
    const [second, third] = [night(12), night(13)]
    expect(await resolve(second)).toBe(second)
    expect(await resolve('2026-11-13')).toBe(third)
    expect(await resolve(third.slice(0, -1))).toBe(third)
    await expect(resolve('2026-11-1')).rejects.toThrow(AmbiguousBackup)
    await expect(resolve('2026-11-1')).rejects.toThrow(`2026-11-1 could mean ${second}, ${third}. Nothing`)
    await expect(resolve('2026-11-30')).rejects.toThrow(UnknownBackup)
    await expect(resolve('202')).rejects.toThrow('it is too short: say 4 characters at least')
    for (const wrong of ['', '../etc', 'a/b', '-x', 'a'.repeat(101), 'läbel', 'a b', 'a..b'])
      await expect(resolve(wrong), wrong).rejects.toThrow(InvalidRequest)
  })

  test('latest, the newest that is signed and of this environment; and latest-rehearsed, which was loaded too', async () => {
    await expect(resolve('latest-rehearsed')).rejects.toThrow(UnknownBackup)
    const rehearsed = night(2, { rehearsedAt: '2026-11-02T03:01:00.000Z' })
    const newest = night(3)
    night(4, { isSigned: false, rehearsedAt: '2026-11-04T03:01:00.000Z' })
    night(5, { environment: 'production' })
    night(6, { imported: { from: newest, by: 'cli ada', at: '2026-11-06T03:00:00.000Z' } })
    bucket.put(
      new Map([[`${prefix}2026-11-29T03-00-00Z-bbbbbb/manifest.json`, Buffer.from('{"version":2}')]]),
    )
    expect(await resolve('latest')).toBe(newest)
    expect(await resolve('latest-rehearsed')).toBe(rehearsed)
  })

  test('latest, of the attempts of one run, which began in one second, the one that was sealed last', async () => {
    for (const digits of ['000000', 'ffffff']) {
      const day = digits === '000000' ? 7 : 8
      const last = night(day, { digits, minute: 9, rehearsedAt: `2026-11-0${day}T03:09:00.000Z` })
      for (const other of ['0f0000', '800000', 'f00000'])
        night(day, { digits: other, rehearsedAt: `2026-11-0${day}T03:01:00.000Z` })
      night(day, { digits: 'fffff0', minute: 10, isSigned: false })
      expect(await resolve('latest')).toBe(last)
      expect(await resolve('latest-rehearsed')).toBe(last)
    }
  })

  test('by a label, which goes before a folder that somebody called like it; or by none that is known', async () => {
    const [first, second] = [night(2), night(3)]
    await name(first, { label: 'baseline' })
    const imposter = sampleBackup({ backupId: 'baseline' })
    bucket.put(imposter.objects)
    expect(await resolve('baseline')).toBe(first)
    await name(second, { label: 'baseline' })
    expect(await resolve('baseline')).toBe(second)
    await expect(resolve('golden')).rejects.toThrow('and it is no label; the labels are baseline. Nothing')
  })
})

describe('names of a backup', () => {
  test('are told with the run that made it, and go as they came: labels, of which each moves, and a note', async () => {
    const [first, second] = [night(2), night(3)]
    await bucket.run({
      run_id: 'maker',
      operation: 'backup',
      requested_by: 'api:ci',
      backup_id: first,
      status: 'succeeded',
    })
    for (const label of ['golden', 'baseline']) await name(first, { label })
    await name(first, { note: "Anna's, with 'quotes' and \u2028" })
    await name(second, { label: 'golden' })
    expect(Object.fromEntries(await named(first, second))).toEqual({
      [first]: {
        labels: ['baseline'],
        note: "Anna's, with 'quotes' and \u2028",
        run: { runId: 'maker', operation: 'backup', requestedBy: 'api:ci' },
      },
      [second]: { labels: ['golden'], note: null, run: null },
    })
    await name(first, { label: null, note: null })
    expect((await named(first)).get(first)).toMatchObject({ labels: [], note: null })
  })

  test('are refused to one that a reset must not go back to, and taken from one that is gone', async () => {
    const own = night(2)
    await name(own, { label: 'baseline', note: 'kept' })
    const [unsigned, foreign, retired] = [
      night(3, { isSigned: false }),
      night(4, { environment: 'production' }),
      night(5),
    ]
    bucket.put(new Map([[`${prefix}${retired}/pruning.json`, Buffer.from('{}')]]))
    for (const [backupId, reason] of [
      [unsigned, 'it is not signed by a key that is known here (unsigned). Its names are what they were'],
      [foreign, 'it is of the environment "production", and this is "local"'],
      [retired, 'a prune has begun to delete it'],
    ] as const) {
      await expect(name(backupId, { label: 'baseline' })).rejects.toThrow(LabelRefused)
      await expect(name(backupId, { note: 'x' })).rejects.toThrow(reason)
    }
    await expect(name('2026-11-30T03-00-00Z-bbbbbb', { label: 'baseline' })).rejects.toThrow(NotFound)
    expect(await resolve('baseline')).toBe(own)
    const gone = '2026-11-09T03-00-00Z-cccccc'
    await bucket.stack.sql.query('UPDATE taskmaster_reset.labels SET backup_id = $1', [gone])
    await name(gone, { label: null })
    await expect(resolve('baseline')).rejects.toThrow(UnknownBackup)
  })

  test('are twenty labels at most, of which each can still be moved, also when several come at once', async () => {
    const [first, second] = [night(2), night(3)]
    const labels = Array.from({ length: 24 }, (_, at) => `label-${at}`)
    const ends = await Promise.allSettled(labels.map((label) => name(first, { label })))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(20)
    const kept = (await named(first)).get(first)?.labels ?? []
    await expect(name(first, { label: 'more' })).rejects.toThrow(
      'There are 20 labels, and more than 20 are not kept',
    )
    await name(second, { label: kept[0] as string })
    expect((await named(first, second)).get(second)?.labels).toEqual([kept[0]])
  })
})

describe('a label keeps its backup', () => {
  const pruning = (hook?: Hook) => prune(bucket.clientsWith({ RETENTION_LAST: 1 }, hook), { dryRun: false })
  const decisionOf = async (backupId: string, hook?: Hook) =>
    (await pruning(hook)).backups.find((one) => one.backupId === backupId)

  test('from a prune and from whoever deletes, until it is taken away; its note goes with it', async () => {
    const [old] = [night(2), night(3)]
    await name(old, { label: 'baseline', note: 'A filled shop' })
    expect(await decisionOf(old)).toMatchObject({ keep: true, reasons: ['labelled "baseline"'] })
    await withConnection(bucket.clients, async (connection) => {
      await expect(checkDeletable(bucket.clients, connection, { backupId: old })).rejects.toThrow(
        'because of this: labelled "baseline". Nothing was deleted; to delete it, take its labels away',
      )
    })
    await name(old, { label: null })
    expect(await decisionOf(old)).toMatchObject({ keep: false })
    expect((await named(old)).get(old)?.note).toBeNull()
  })

  test('that it is given while a prune looks; and one that comes too late is refused', async () => {
    const [old, older] = [night(3), night(2), night(4)]
    let late: Promise<unknown> | undefined
    const decided = await decisionOf(old, async (command, when) => {
      const { Key = '' } = command.input
      if (when !== 'before') return
      // Of all folders the newest is read last, and nothing is decided yet.
      if (Key.includes('2026-11-04') && Key.endsWith('manifest.json')) await name(old, { label: 'baseline' })
      // The prune holds the ledger, so this waits, and finds the manifest gone.
      if (Key === `${prefix}${older}/pruning.json` && command.constructor.name === 'PutObjectCommand')
        late = name(older, { label: 'golden' }).catch((error: unknown) => error)
    })
    expect(decided).toMatchObject({ keep: true, reasons: ['labelled "baseline"'] })
    expect(await late).toBeInstanceOf(NotFound)
    expect(await bucket.folders()).not.toContain(older)
    await expect(resolve('golden')).rejects.toThrow(UnknownBackup)
  })

  test('also from a run that was told to delete it before', async () => {
    const [old] = [night(2), night(3)]
    await bucket.stack.sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed'`)
    const runId = await bucket.run({
      status: 'running',
      operation: 'delete',
      plan: { subject: { backupId: old } },
    })
    await name(old, { label: 'baseline' })
    const seen = { manifest: '0'.repeat(64), late: null }
    const plan = {
      runId,
      attempt: 0,
      operation: 'delete',
      backupId: old,
      seen,
      reads: 0,
      batches: 0,
    } as const
    await expect(deleteBackup(bucket.clients, plan)).rejects.toThrow(
      `The backup ${old} is not deleted, because it was labelled "baseline" since the run began`,
    )
    expect(await resolve('2026-11-02')).toBe(old)
  })
})
