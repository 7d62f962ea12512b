import { describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { setNames } from '../../lib/backup/naming/label.ts'
import { checkDeletable } from '../../lib/backup/retention/check-delete.ts'
import { reasonsToKeep } from '../../lib/backup/retention/kept.ts'
import { schedules } from '../../lib/config/schedules.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
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

/** Clients that count what is asked of S3. */
function counting(settings: Parameters<typeof bucket.clientsWith>[0] = {}) {
  const asked: Record<string, number> = {}
  const clients = bucket.clientsWith(settings, ({ constructor: { name } }, when) => {
    if (when === 'before') asked[name] = (asked[name] ?? 0) + 1
  })
  return { clients, asked }
}

describe('of very many backups', () => {
  test('the status looks at the newest, as many as there is time for; what it promises beside these it finds all the same', async () => {
    hours(0, 90, 'cache-only')
    const full = hour(100, { strategy: 'full', rehearsedAt: '2026-11-17T00:00:00.000Z' })
    await bucket.run({ operation: 'backup', strategy: 'full', backup_id: full, status: 'succeeded' })
    await withConnection(bucket.clients, (connection) =>
      setNames(bucket.clients, connection, { backupId: full, label: 'baseline', by: null }),
    )
    const nightly = { name: 'nightly', expression: 'cron(0 3 * * ? *)', operation: 'backup' }
    const { clients, asked } = counting({ SCHEDULES: schedules.parse(JSON.stringify([nightly])) })
    const times = ['2026-11-21T12:00:00Z', '2026-11-21T12:00:09Z']
    const status = await statusOf({ ...clients, now: () => new Date(times.shift() ?? '') })
    expect(status).toMatchObject({
      backups: { count: 64, older: 27 },
      lastProved: { backupId: full, strategy: 'full' },
      labelled: [{ label: 'baseline', backupId: full, pinned: false }],
    })
    const known = status.storage.filter(({ bytes }) => bytes !== null)
    expect(known.map(({ day }) => day)).toEqual(['2026-11-19', '2026-11-20', '2026-11-21'])
    // Of each of the 64 its manifest and what came late; of the two that are looked up also the pin; and the list.
    expect(asked).toEqual({ ListObjectsV2Command: 1 + 64 + 2, GetObjectCommand: 64 + 2 * 2 })
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
