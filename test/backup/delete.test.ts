import { describe, expect, test } from 'vitest'
import { checkDeletable } from '../../lib/backup/retention/check-delete.ts'
import { pinBackup } from '../../lib/backup/retention/pin.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import {
  BackupDamaged,
  BackupKept,
  ForeignBackup,
  NotFound,
  NotPermitted,
  RunLost,
  StoreUnavailable,
} from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { deleteBackup } from '../../lib/run/on-backup/delete.ts'
import { type Command, type Hook, now, usePrune } from './prune-stack.ts'
import { prefix } from './real-backups.ts'
import { sampleBackup } from './sample-backup.ts'
import { verifyBackup } from './verify-whole.ts'

const bucket = usePrune()
const root = (backupId: string) => `${prefix}${backupId}/`
const writes = ['PutObjectCommand', 'DeleteObjectCommand', 'DeleteObjectsCommand']
const isWrite = (command: Command) => writes.includes(command.constructor.name)

/** A delete asks the backup itself again. */
const seen = { manifest: '0'.repeat(64), late: null }

const check = (backupId: string, runId: string | null = null) =>
  withConnection(bucket.clients, (connection) =>
    checkDeletable(bucket.clients, connection, { backupId, runId }),
  )

/** What a run of the operation "delete" does in the state "Delete". */
async function remove(backupId: string, hook?: Hook, signal?: AbortSignal): Promise<void> {
  const { sql } = bucket.stack
  await sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`)
  const runId = await bucket.run({ status: 'running', operation: 'delete', plan: { subject: { backupId } } })
  const plan = { runId, attempt: 0, operation: 'delete', backupId, seen, reads: 0, batches: 0 } as const
  await deleteBackup(bucket.clientsWith({}, hook), plan, signal && { signal })
}

function put(sample: ReturnType<typeof sampleBackup>): string {
  bucket.put(sample.objects)
  return sample.backupId
}

describe('a backup may be deleted', () => {
  test('unless it is the newest or the newest rehearsed one of its strategy', async () => {
    const [newest, second, third] = bucket.sealed([1, 2, 3])
    const rehearsed = put(
      sampleBackup({
        backupId: '2026-11-01T00-00-00Z-bbbbbb',
        sealedAt: '2026-11-01T00:00:00.000Z',
        rehearsedAt: '2026-11-01T00:00:00.000Z',
      }),
    )
    const alone = put(
      sampleBackup({
        backupId: '2026-10-01T00-00-00Z-cccccc',
        sealedAt: '2026-10-01T00:00:00.000Z',
        strategy: 'database-only',
      }),
    )
    await expect(check(newest!)).rejects.toThrow(
      `The backup ${newest} (full) is not deleted, because of this: the newest full backup. Nothing was deleted; to delete it, first take a newer backup of the same strategy`,
    )
    await expect(check(rehearsed)).rejects.toThrow('because of this: the newest rehearsed full backup.')
    await expect(check(alone)).rejects.toThrow('(database-only) is not deleted, because of this: the newest')
    for (const backupId of [second!, third!])
      expect(await check(backupId)).toMatchObject({ backupId, strategy: 'full' })
  })

  test('unless it is the newest by the clock of the ledger, whatever this machine says', async () => {
    const [newest, second] = bucket.sealed([1, 400])
    const late = { ...bucket.clients, now: () => new Date('2020-01-01T00:00:00Z') }
    await withConnection(late, async (connection) => {
      const checked = (backupId: string) => checkDeletable(late, connection, { backupId })
      await expect(checked(newest!)).rejects.toThrow('the newest full backup')
      expect(await checked(second!)).toMatchObject({ backupId: second })
    })
  })

  test('unless it is pinned, or an active run needs it that is not the one that deletes it', async () => {
    const [, second, third] = bucket.sealed([1, 2, 3])
    await pinBackup(bucket.storage, prefix, { backupId: second!, by: 'anna', at: now })
    await expect(check(second!)).rejects.toThrow(BackupKept)
    await expect(check(second!)).rejects.toThrow(
      'because of this: pinned. Nothing was deleted; to delete it, unpin it',
    )
    const runId = await bucket.run({ status: 'running', plan: { restore: { backupId: third } } })
    await expect(check(third!)).rejects.toThrow(
      'because of this: an active run needs it. Nothing was deleted; to delete it, wait for that run',
    )
    expect(await check(third!, runId)).toMatchObject({ backupId: third })
    await pinBackup(bucket.storage, prefix, { backupId: third!, by: 'anna', at: now })
    await expect(check(third!)).rejects.toThrow('to delete it, unpin it, and wait for that run')
  })

  test('unless it is of another environment, damaged, or not there', async () => {
    bucket.sealed([1])
    const foreign = put(sampleBackup({ backupId: '2026-10-01T00-00-00Z-dddddd', environment: 'production' }))
    await expect(check(foreign)).rejects.toThrow(ForeignBackup)
    await expect(check('2026-10-01T00-00-00Z-eeeeee')).rejects.toThrow(NotFound)
    bucket.put(new Map([[`${root(foreign)}manifest.json`, Buffer.from('{"version":1}')]]))
    await expect(check(foreign)).rejects.toThrow(BackupDamaged)
  })
})

describe('deleting a backup', () => {
  test('that dies at any write leaves it whole, or none; repeating it ends what was begun', async () => {
    for (let nth = 1; ; nth++) {
      for (const when of ['before', 'after'] as const) {
        const [newest, old] = bucket.sealed([1, 2])
        let [count, isDead] = [0, false]
        const dying: Hook = (command, at) => {
          if (at === 'before' && isWrite(command) && !isDead) count++
          if (count === nth && at === when && isWrite(command)) isDead = true
          if (isDead) throw Object.assign(new Error('the process was killed'), { $fault: 'client' })
        }
        const died = await remove(old!, dying).catch((error: unknown) => error)
        if (died === undefined) return expect(nth).toBe(6)
        expect(died).toBeInstanceOf(StoreUnavailable)
        if ((await bucket.objects()).some((line) => line.startsWith(`${root(old!)}manifest.json`))) {
          const verified = await verifyBackup(bucket.storage, prefix, old!, async () => {})
          expect(verified, `after write ${nth}`).toMatchObject({ ok: true })
        }
        await remove(old!)
        expect(await bucket.folders()).toEqual([newest])
        await remove(old!)
      }
    }
  })

  test('that is over time ends before the next deletion, and a repeat goes on', async () => {
    const [newest, old] = bucket.sealed([1, 2])
    const over = new AbortController()
    const hook: Hook = (command, when) => {
      const key = command.input.Delete?.Objects?.[0]?.Key
      if (when === 'after' && key === `${root(old!)}manifest.json`) over.abort(new Error('out of time'))
    }
    const before = await bucket.objects()
    const late = new AbortController()
    const beforeLock: Hook = () => late.abort(new Error('the lock came late'))
    await expect(remove(old!, beforeLock, late.signal)).rejects.toThrow('the lock came late')
    expect(await bucket.objects()).toEqual(before)
    await expect(remove(old!, hook, over.signal)).rejects.toThrow('out of time')
    expect((await bucket.objects(root(old!))).length).toBeGreaterThan(1)
    await remove(old!)
    expect(await bucket.folders()).toEqual([newest])
  })

  test('never touches a folder that was not retired: it may be a backup that is being written', async () => {
    const [, old] = bucket.sealed([1, 2])
    await remove(old!)
    bucket.put(new Map([[`${root(old!)}cache/00000.jsonl.zst`, Buffer.from('x')]]))
    const before = await bucket.objects()
    await remove(old!)
    expect(await bucket.objects()).toEqual(before)
  })

  test('is the run of the ledger, or does nothing', async () => {
    const [, old] = bucket.sealed([1, 2])
    const before = await bucket.objects()
    const plan = {
      runId: 'lost',
      attempt: 0,
      operation: 'delete',
      backupId: old!,
      seen,
      reads: 0,
      batches: 0,
    } as const
    await expect(deleteBackup(bucket.clients, plan)).rejects.toThrow(RunLost)
    expect(await bucket.objects()).toEqual(before)
  })

  test('that was pinned since the run began keeps it', async () => {
    const [, old] = bucket.sealed([1, 2])
    const before = await bucket.objects()
    const pinning: Hook = async (command, when) => {
      if (when === 'before' && command.constructor.name === 'PutObjectCommand')
        await pinBackup(bucket.storage, prefix, { backupId: old!, by: 'anna', at: now })
    }
    await expect(remove(old!, pinning)).rejects.toThrow(BackupKept)
    await expect(remove(old!)).rejects.toThrow('because it was pinned since the run began. Unpin it')
    expect((await bucket.objects()).filter((line) => !line.includes('pinned.json'))).toEqual(before)
  })

  test('says which object S3 does not delete, and goes on when it may', async () => {
    const [newest, old] = bucket.sealed([1, 2])
    const [manifest, stubborn] = [`${root(old!)}manifest.json`, `${root(old!)}cache/00000.jsonl.zst`]
    const refusing = (key: string, code = 'AccessDenied'): Hook => {
      let isAsked = false
      return ({ input }, when) => {
        const objects = input.Delete?.Objects ?? []
        if (when === 'after') return isAsked ? { Errors: [{ Key: key, Code: code }] } : undefined
        const index = objects.findIndex(({ Key }) => Key === key)
        isAsked = index >= 0
        if (isAsked) objects.splice(index, 1)
        return undefined
      }
    }
    const before = await bucket.objects()
    await expect(remove(old!, refusing(manifest))).rejects.toThrow(`${manifest} (AccessDenied). Grant it`)
    expect((await bucket.objects()).filter((line) => !line.includes('pruning.json'))).toEqual(before)
    await expect(remove(old!, refusing(stubborn))).rejects.toThrow(NotPermitted)
    await expect(remove(old!, refusing(stubborn))).rejects.toThrow(
      `s3://${bucket.storage.name}/${stubborn} (AccessDenied)`,
    )
    const changed = remove(old!, refusing(stubborn, 'PreconditionFailed'))
    await expect(changed).rejects.toThrow(StoreUnavailable)
    await expect(changed).rejects.toThrow(`${stubborn} (PreconditionFailed). Delete the backup again`)
    await remove(old!)
    expect(await bucket.folders()).toEqual([newest])
  })

  test('keeps prune waiting while it is under way; its end lets nothing go that a failed backup keeps', async () => {
    bucket.sealed([1, 2, 3])
    const pruned = () => prune({ ...bucket.clients, config: { ...bucket.clients.config, RETENTION_LAST: 1 } })
    const runId = await bucket.run({ status: 'running', operation: 'delete', plan: { subject: {} } })
    expect((await pruned()).refused).toContain(`run ${runId} is deleting a backup`)
    const { sql } = bucket.stack
    await sql.query(`UPDATE taskmaster_reset.runs SET status = 'succeeded', finished_at = now() + '1 hour'`)
    await bucket.run({ status: 'failed', operation: 'backup', finished_at: new Date(Date.now() + 7.2e6) })
    await bucket.run({ status: 'succeeded', operation: 'delete', finished_at: new Date(Date.now() + 9e6) })
    await bucket.run({ status: 'succeeded', operation: 'verify', finished_at: new Date(Date.now() + 9e6) })
    expect((await pruned()).refused).toContain('(backup) ended as failed')
    await bucket.run({ status: 'succeeded', operation: 'backup', finished_at: new Date(Date.now() + 1e7) })
    expect((await pruned()).refused).toBeNull()
    await bucket.run({ status: 'failed', operation: 'verify', finished_at: new Date(Date.now() + 2e7) })
    expect((await pruned()).refused).toContain('(verify) ended as failed')
  })
})
