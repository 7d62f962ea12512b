import { describe, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { backupIdOf } from '../../lib/backup/layout.ts'
import { checkDeletable } from '../../lib/backup/retention/check-delete.ts'
import { isPinned, pinBackup, unpinBackup } from '../../lib/backup/retention/pin.ts'
import { prune } from '../../lib/backup/retention/prune.ts'
import {
  BackupBeingPruned,
  DatabaseBusy,
  EnvironmentMismatch,
  EnvironmentUnclaimed,
  InvalidRequest,
  NotFound,
  StoreUnavailable,
} from '../../lib/errors.ts'
import { openRun } from '../../lib/ledger/open.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import type { SigningKey } from '../../lib/signature.ts'
import { showPrune } from '../../local/cli/commands/prune.ts'
import type { Connected } from '../../local/cli/connect.ts'
import { waiting } from '../database/database-stack.ts'
import { signing, strange } from '../support/signing.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { type Command, type Hook, now, usePrune } from './prune-stack.ts'
import { prefix } from './real-backups.ts'
import { json, sampleBackup } from './sample-backup.ts'
import { verifyBackup } from './verify-whole.ts'

const bucket = usePrune()
const carryOut = { dryRun: false }
const two = { RETENTION_LAST: 2 }

const pruneWith = (config = {}, options = {}, hook?: Hook) => prune(bucket.clientsWith(config, hook), options)
const root = (backupId: string) => `${prefix}${backupId}/`
const nameOf = (command: Command) => command.constructor.name

/** The ids that were (or would be) deleted, and those that stay. */
function split({ backups }: Awaited<ReturnType<typeof prune>>) {
  const ids = (keep: boolean) => backups.filter((one) => one.keep === keep).map(({ backupId }) => backupId)
  return { gone: ids(false), kept: ids(true) }
}

describe('prune', () => {
  test('deletes nothing by default, and says what would go and why', async () => {
    const ids = bucket.sealed([1, 2, 3, 4])
    const before = await bucket.objects()
    const result = await pruneWith(two)
    expect(result).toMatchObject({
      dryRun: true,
      refused: null,
      left: [],
      leftovers: [],
      policy: { last: 2 },
    })
    expect(result.backups.map(({ backupId, keep, reasons }) => ({ backupId, keep, reasons }))).toEqual([
      { backupId: ids[0], keep: true, reasons: ['the newest full backup', 'number 1 of the last 2 (full)'] },
      { backupId: ids[1], keep: true, reasons: ['number 2 of the last 2 (full)'] },
      { backupId: ids[2], keep: false, reasons: ['not among the last 2 (full)'] },
      { backupId: ids[3], keep: false, reasons: ['not among the last 2 (full)'] },
    ])
    const size = (await bucket.objects(root(ids[2]!))).map((line) => Number(line.split(' ').at(-2)))
    const bytes = size.reduce((sum, one) => sum + one, 0)
    expect(result.backups.map(({ deleted }) => deleted)).toEqual([
      ...[null, null],
      ...[1, 2].map(() => ({ objects: size.length, bytes, failures: 0, failed: [] })),
    ])
    expect(await bucket.objects()).toEqual(before)
  })

  test('deletes exactly what a dry run named, and nothing else changes', async () => {
    const ids = bucket.sealed([1, 2, 3, 4])
    bucket.put(
      new Map([
        ['.taskmaster/runs/x/plan.json', Buffer.from('{}')],
        [`${prefix}readme`, Buffer.from('x')],
      ]),
    )
    const before = await bucket.objects()
    const dry = await pruneWith(two)
    const result = await pruneWith(two, carryOut)
    expect({ ...result, dryRun: true }).toEqual(dry)
    const gone = [root(ids[2]!), root(ids[3]!)]
    expect(await bucket.objects()).toEqual(
      before.filter((line) => !gone.some((folder) => line.startsWith(folder))),
    )
    expect(split(await pruneWith(two, carryOut))).toEqual({ gone: [], kept: ids.slice(0, 2) })
  })

  test('deletes the manifest first, then the late files, then the rest, and its own mark last', async () => {
    const [, old] = bucket.sealed([1, 2])
    const seen: string[][] = []
    await pruneWith({ RETENTION_LAST: 1 }, carryOut, (command, when) => {
      if (when === 'after') return
      const { Key = '', Delete } = command.input
      if (nameOf(command) === 'PutObjectCommand') seen.push([`put ${Key}`])
      if (nameOf(command) === 'DeleteObjectCommand') seen.push([Key])
      if (Delete) seen.push((Delete.Objects ?? []).map((object) => object.Key ?? ''))
    })
    const below = (path: string) => `${root(old!)}${path}`
    expect(seen.map((keys) => keys[0])).toEqual([
      `put ${below('pruning.json')}`,
      below('manifest.json'),
      below('late-1.json'),
      below('cache/00000.jsonl.zst'),
      below('pruning.json'),
    ])
    expect(seen.map(({ length }) => length)).toEqual([1, 1, 1, 8, 1])
  })

  test.runIf(isFull)(`does the same on an S3 that is asked over HTTP ${inFullForm}`, async () => {
    bucket.sealed([1, 2, 3])
    await bucket.copyToEmbedded()
    const config = { ...bucket.embedded.config, ...two }
    const before = await pruneWith(two)
    expect(await prune({ ...bucket.embedded, config })).toEqual(before)
    expect(await prune({ ...bucket.embedded, config }, carryOut)).toEqual(await pruneWith(two, carryOut))
    const keys = (lines: string[]) => lines.map((line) => line.split(' ')[0])
    expect(keys(await bucket.objects('', bucket.embedded.backups))).toEqual(keys(await bucket.objects()))
  })

  test('without any retention keeps everything', async () => {
    const ids = bucket.sealed([1, 100, 1000])
    expect(split(await pruneWith({}, carryOut))).toEqual({ gone: [], kept: ids })
    expect(await bucket.folders()).toHaveLength(3)
  })

  test('deletes a backup of more objects than one request takes', async () => {
    // XML cannot hold the control character, so those keys are deleted one by one.
    const files = Object.fromEntries(
      Array.from({ length: 2_300 }, (_, index) => [`${index}${['', 'ä', '💎', '\u0001'][index % 4]}`, 'x']),
    )
    bucket.put(sampleBackup({ backupId: 'large', sealedAt: '2026-01-01T00:00:00.000Z', files }).objects)
    bucket.sealed([1])
    const requests: number[] = []
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut, (command, when) => {
      if (when === 'before' && command.input.Delete) requests.push(command.input.Delete.Objects?.length ?? 0)
    })
    expect(result.backups.at(-1)?.deleted).toMatchObject({ objects: 2_306, failures: 0 })
    expect(requests).toEqual([1, 752, 749, 229])
    expect(await bucket.folders()).toHaveLength(1)
  })

  test('never touches a folder that is no backup: one may be being written', async () => {
    const { objects, keys } = sampleBackup({ backupId: 'being-written' })
    objects.delete(keys.manifest)
    bucket.put(objects)
    bucket.sealed([1, 2])
    const before = await bucket.objects(keys.root)
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(result.backups).toHaveLength(2)
    expect([result.left, result.leftovers]).toEqual([[], []])
    expect(await bucket.objects(keys.root)).toEqual(before)
  })

  test('keeps and names what it cannot understand, and what belongs to another environment', async () => {
    const [damaged, newer, foreign] = ['damaged', 'newer', 'foreign'].map((backupId) =>
      sampleBackup({
        backupId,
        sealedAt: '2020-01-01T00:00:00.000Z',
        environment: backupId === 'foreign' ? 'prod' : 'local',
      }),
    )
    damaged!.manifest.database!.rows++
    damaged!.write()
    newer!.objects.set(newer!.keys.manifest, json({ version: 3 }))
    for (const { objects } of [damaged!, newer!, foreign!]) bucket.put(objects)
    const ids = bucket.sealed([1, 2])
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(split(result)).toEqual({ gone: [ids[1]], kept: [ids[0]] })
    expect(result.left).toEqual([
      { backupId: 'damaged', reason: expect.stringContaining('database.rows: 10 is said') },
      { backupId: 'foreign', reason: 'it is a backup of the environment "prod"' },
      { backupId: 'newer', reason: expect.stringContaining('newer version') },
    ])
    expect(await bucket.folders()).toEqual([ids[0], 'damaged', 'foreign', 'newer'])
  })

  test('is refused with the ledger of another environment, or of none', async () => {
    bucket.sealed([1, 2])
    const one = { RETENTION_LAST: 1 }
    await expect(pruneWith({ ...one, ENVIRONMENT: 'staging' }, carryOut)).rejects.toThrow(EnvironmentMismatch)
    await bucket.stack.sql.query('DELETE FROM taskmaster_reset.environment')
    await expect(pruneWith(one, carryOut)).rejects.toThrow(EnvironmentUnclaimed)
    expect(await bucket.folders()).toHaveLength(2)
  })
})

describe('what a run took that is not in this ledger', () => {
  const sign = (backupId: string, runId: string) => {
    const { signing } = bucket.clients.backups
    const manifest = bucket.json(`${root(backupId)}manifest.json`)
    const late = bucket.json(`${root(backupId)}late-1.json`)
    bucket.put([
      [`${root(backupId)}manifest.json`, json(sealed(signing, { ...manifest, runId }))],
      [`${root(backupId)}late-1.json`, json(sealed(signing, { ...late, environment: 'local' }))],
    ])
  }
  const claimedAt = (at: string) =>
    bucket.stack.sql.query('UPDATE taskmaster_reset.environment SET claimed_at = $1', [at])

  test('stays when it was sealed since the environment was claimed, and takes the place of nothing', async () => {
    const ids = bucket.sealed([1, 2, 3, 4])
    const known = await bucket.run({ status: 'succeeded' })
    for (const [at, backupId] of ids.entries()) sign(backupId, at % 2 === 0 ? 'of a copy' : known)
    await claimedAt('2026-01-01T00:00:00Z')
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(split(result)).toEqual({ gone: [ids[3]], kept: ids.slice(0, 3) })
    expect(result.backups[2]).toMatchObject({
      reasons: [expect.stringContaining('is not in this ledger')],
      deleted: null,
    })
    await withConnection(bucket.clients, async (connection) => {
      const asked = (backupId: string) => checkDeletable(bucket.clients, connection, { backupId })
      expect(await asked(ids[2]!)).toMatchObject({ backupId: ids[2] })
      await expect(asked(ids[1]!)).rejects.toThrow('the newest own full backup')
      await expect(asked(ids[0]!)).rejects.toThrow('the newest full backup')
    })
  })

  test('is like any other when it was sealed before: its ledger was lost, and the environment claimed anew', async () => {
    const ids = bucket.sealed([1, 2, 3])
    for (const backupId of ids) sign(backupId, 'of a ledger that was lost')
    await claimedAt(now.toISOString())
    expect(split(await pruneWith(two, carryOut))).toEqual({ gone: [ids[2]], kept: ids.slice(0, 2) })
  })
})

describe('what somebody without a key puts into the bucket', () => {
  test('takes the place of no backup that is signed, whatever its time and whatever it says of its rehearsal', async () => {
    const ids = bucket.sealed([2, 3, 4])
    for (const backupId of ids) {
      const manifest = bucket.json(`${root(backupId)}manifest.json`)
      const late = bucket.json(`${root(backupId)}late-1.json`)
      const { signing } = bucket.clients.backups
      bucket.put([
        [
          `${root(backupId)}manifest.json`,
          json(sealed(signing, { ...manifest, rehearsedAt: manifest.sealedAt })),
        ],
        [`${root(backupId)}late-1.json`, json(sealed(signing, { ...late, environment: 'local' }))],
      ])
    }
    for (const [at, keys] of [undefined, strange, undefined, strange].entries()) {
      const sealedAt = new Date(now.getTime() + 3_600_000 * at).toISOString()
      const forged = sampleBackup({
        backupId: `2027-0${at + 1}-01T00-00-00Z-ffffff`,
        sealedAt,
        rehearsedAt: sealedAt,
      })
      if (keys !== undefined) forged.objects.set(forged.keys.manifest, json(sealed(keys, forged.manifest)))
      bucket.put(forged.objects)
    }
    const result = await pruneWith({ RETENTION_LAST: 2 }, carryOut)
    expect(split(result)).toEqual({
      gone: ['2027-02-01T00-00-00Z-ffffff', '2027-01-01T00-00-00Z-ffffff', ids[2]],
      kept: ['2027-04-01T00-00-00Z-ffffff', '2027-03-01T00-00-00Z-ffffff', ids[0], ids[1]],
    })
    expect(result.backups.find(({ backupId }) => backupId === ids[0])?.reasons).toEqual([
      'the newest signed full backup',
      'the newest rehearsed signed full backup',
      'number 1 of the last 2 (signed full)',
    ])
    await withConnection(bucket.clients, async (connection) => {
      const deletable = checkDeletable(bucket.clients, connection, { backupId: ids[0]! })
      await expect(deletable).rejects.toThrow('the newest signed full backup')
    })
  })

  test('a tombstone among them lets nothing go of a backup that an active run writes, or may write next', async () => {
    const runId = await bucket.run({ status: 'running', attempt: 0 })
    for (const attempt of [0, 1, 2]) {
      const backupId = backupIdOf({ runId, attempt, startedAt: now.toISOString() })
      const { objects, keys } = sampleBackup({ backupId })
      objects.delete(keys.manifest)
      bucket.put([...objects, [keys.tombstone, json({})]])
    }
    const before = await bucket.folders()
    const nobodys = backupIdOf({ runId, attempt: 2, startedAt: now.toISOString() })
    for (const options of [{}, carryOut])
      expect((await pruneWith(two, options)).leftovers.map(({ backupId }) => backupId)).toEqual([nobodys])
    expect(await bucket.folders()).toEqual(before.filter((backupId) => backupId !== nobodys))
  })

  test('nor of one that a run began to write since it was looked who is active', async () => {
    const runId = 'run-of-now'
    const backupId = backupIdOf({ runId, attempt: 0, startedAt: now.toISOString() })
    const { objects, keys } = sampleBackup({ backupId })
    objects.delete(keys.manifest)
    bucket.put([...objects, [keys.tombstone, json({})]])
    const before = await bucket.folders()
    const begins: Hook = async ({ input }, when) => {
      if (when === 'after' && input.Key === keys.tombstone && runs.length === 0)
        runs.push(await bucket.run({ run_id: runId, status: 'running' }))
    }
    const runs: string[] = []
    expect((await pruneWith(two, carryOut, begins)).leftovers).toEqual([])
    expect(await bucket.folders()).toEqual(before)
    expect(runs).toEqual([runId])
  })
})

test('a backup of which something is not proved does not take the place of the newest rehearsed one', async () => {
  const ids = [1, 2, 3].map((age) => {
    const sealedAt = new Date(now.getTime() - age * 24 * 60 * 60 * 1000).toISOString()
    const sample = sampleBackup({
      backupId: `${sealedAt.slice(0, 19).replaceAll(':', '-')}Z-aaaaaa`,
      sealedAt,
    })
    sample.manifest.rehearsedAt = sealedAt
    if (age === 1) sample.manifest.warnings = [{ code: 'NotProved', message: 'It is not proved' }]
    sample.write()
    bucket.put(sample.objects)
    return sample.backupId
  })
  expect(split(await pruneWith({ RETENTION_LAST: 1 })).kept).toEqual([ids[0], ids[1]])
})

describe('runs', () => {
  test('nothing is pruned when the latest run failed, was abandoned or was cancelled', async () => {
    const ids = bucket.sealed([1, 2, 3])
    for (const status of ['failed', 'abandoned', 'cancelled']) {
      const runId = await bucket.run({ status })
      const result = await pruneWith(two, carryOut)
      const reason = `the run ${runId} (reset) ended as ${status}, and no backup, reset or restore has succeeded since. Nothing is pruned until one has`
      expect(result.refused).toBe(reason)
      expect(result.backups.at(-1)).toMatchObject({ keep: true, reasons: [reason], deleted: null })
    }
    await bucket.run({ status: 'succeeded', plan: { dryRun: true } })
    await bucket.run({ status: 'succeeded', operation: 'claim' })
    expect((await pruneWith(two, carryOut)).refused).toContain('ended as cancelled')
    expect(await bucket.folders()).toHaveLength(3)
    await bucket.run({ status: 'succeeded_with_warnings' })
    expect(split(await pruneWith(two, carryOut)).gone).toEqual([ids[2]])
  })

  test('what acts on a single backup lets none go after one that failed; a verify that failed stops the pruning', async () => {
    const ids = bucket.sealed([1, 2, 3])
    await bucket.run({ status: 'failed', operation: 'backup' })
    for (const [operation, status] of [
      ['verify', 'succeeded'],
      ['verify', 'succeeded_with_warnings'],
      ['delete', 'succeeded'],
    ] as const) {
      await bucket.run({ status, operation })
      expect((await pruneWith(two, carryOut)).refused, operation).toContain('(backup) ended as failed')
    }
    await bucket.run({ status: 'succeeded', operation: 'backup' })
    await bucket.run({ status: 'failed', operation: 'verify' })
    expect((await pruneWith(two, carryOut)).refused).toContain('(verify) ended as failed')
    const moment = { operation: 'backup', finished_at: new Date(Date.now() + 60_000) }
    for (const status of ['succeeded', 'failed', 'succeeded_with_warnings'])
      await bucket.run({ status, ...moment })
    expect((await pruneWith(two, carryOut)).refused, 'ended at once').toContain('(backup) ended as failed')
    await bucket.run({ ...moment, status: 'succeeded', finished_at: new Date(Date.now() + 120_000) })
    expect(split(await pruneWith(two, carryOut)).gone).toEqual([ids[2]])
  })

  test('nothing is pruned before a run has succeeded', async () => {
    await bucket.stack.sql.query('DELETE FROM taskmaster_reset.runs')
    bucket.sealed([1, 2, 3])
    expect((await pruneWith(two, carryOut)).refused).toContain(
      'no backup, reset or restore has ended in this environment yet',
    )
    expect(await bucket.folders()).toHaveLength(3)
  })

  test('the backups of an active run stay: those of all its attempts, and those it names', async () => {
    const runId = 'active'
    const attempts = [0, 1, 2].map((attempt) => backupIdOf({ runId, attempt, startedAt: now.toISOString() }))
    for (const backupId of attempts)
      bucket.put(sampleBackup({ backupId, sealedAt: '2026-01-01T00:00:00.000Z' }).objects)
    const ids = bucket.sealed([1, 2, 3, 4])
    const row = { run_id: runId, attempt: 2, backup_id: attempts[2], plan: { restore: { backupId: ids[3] } } }
    await bucket.run({ status: 'running', ...row })
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(split(result).gone).toEqual([ids[1], ids[2]])
    expect(result.backups.filter(({ reasons }) => reasons.includes('an active run needs it'))).toHaveLength(4)
  })

  test('nothing is pruned while a run restores, or has only begun', async () => {
    bucket.sealed([1, 2, 3])
    await bucket.run({ status: 'running', run_id: 'one', operation: 'restore' })
    expect((await pruneWith(two, carryOut)).refused).toContain('run one is restoring a backup')
    await bucket.stack.sql.query(
      `UPDATE taskmaster_reset.runs SET operation = 'reset', plan = NULL WHERE status = 'running'`,
    )
    expect((await pruneWith(two, carryOut)).refused).toContain('run one has only begun')
    await bucket.stack.sql.query(
      `UPDATE taskmaster_reset.runs SET operation = 'claim' WHERE status = 'running'`,
    )
    expect((await pruneWith(two)).refused, 'a claim needs no backup').toBeNull()
    expect(await bucket.folders()).toHaveLength(3)
  })

  test('at the end of a run, that run counts as the latest one', async () => {
    const [first, second, third] = bucket.sealed([1, 2, 3])
    await bucket.run({ status: 'failed' })
    const endOf = await bucket.run({ status: 'running', operation: 'restore', plan: { from: third } })
    expect((await pruneWith({ RETENTION_LAST: 1 }, carryOut)).refused).not.toBeNull()
    const result = await pruneWith({ RETENTION_LAST: 1 }, { ...carryOut, endOf })
    expect(split(result)).toEqual({ gone: [second], kept: [first, third] })
    await bucket.stack.sql.query(
      `UPDATE taskmaster_reset.runs SET status = 'failed', finished_at = now() WHERE run_id = $1`,
      [endOf],
    )
    expect((await pruneWith({ RETENTION_LAST: 1 }, { ...carryOut, endOf })).refused).toContain(
      `${endOf} (restore) ended as failed`,
    )
  })

  test('a run that begins between the decision and the deletion keeps its backup', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    let begun = false
    const result = await pruneWith(two, carryOut, async (command, when) => {
      if (begun || when === 'after' || command.input.Key !== `${root(old!)}pinned.json`) return
      begun = true
      await bucket.run({ status: 'running', plan: { restore: { backupId: old } } })
    })
    expect(begun).toBe(true)
    expect(result.backups.at(-1)).toMatchObject({
      keep: true,
      reasons: ['an active run needs it'],
      deleted: null,
    })
    expect(await bucket.folders()).toHaveLength(3)
  })

  const stops: [string, Record<string, unknown>, string][] = [
    ['fails', { status: 'failed' }, 'ended as failed'],
    ['begins to restore', { status: 'running', operation: 'restore', plan: {} }, 'is restoring a backup'],
    ['begins, and needs it is not known what', { status: 'running', plan: null }, 'has only begun'],
  ]
  test.each(stops.slice(0, isFull ? undefined : 1))(
    'a run that %s between the decision and the deletion stops it',
    async (_, about, reason) => {
      const [, , old] = bucket.sealed([1, 2, 3])
      let begun = false
      const result = await pruneWith(two, carryOut, async (command, when) => {
        if (begun || when === 'after' || command.input.Key !== `${root(old!)}pinned.json`) return
        begun = true
        await bucket.run(about)
      })
      expect(begun).toBe(true)
      expect(result.backups.at(-1)).toMatchObject({ keep: true, deleted: null })
      expect(result.backups.at(-1)?.reasons.join()).toContain(reason)
      expect(await bucket.folders()).toHaveLength(3)
      expect(await bucket.objects(`${root(old!)}manifest.json`)).toHaveLength(1)
    },
  )

  test('the backup of the run at whose end it takes place stays, whatever clock it was sealed by', async () => {
    const [, , own] = bucket.sealed([1, 2, 30])
    const endOf = await bucket.run({ status: 'succeeded', backup_id: own })
    const result = await pruneWith({ RETENTION_LAST: 1 }, { ...carryOut, endOf })
    expect(split(result).kept).toContain(own)
    expect(split(result).gone).toHaveLength(1)
  })

  test('a lock whose connection broke holds nobody off any more, so no manifest goes', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    let broken = false
    const pruning = pruneWith(two, carryOut, async (command, when) => {
      if (broken || when === 'after' || command.input.Key !== `${root(old!)}pruning.json`) return
      if (nameOf(command) !== 'PutObjectCommand') return
      broken = true
      await bucket.stack.admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'taskmaster-reset' AND datname = current_database()`,
      )
    })
    await expect(pruning).rejects.toMatchObject({ name: 'StoreUnavailable' })
    expect(broken).toBe(true)
    expect(await bucket.objects(`${root(old!)}manifest.json`)).toHaveLength(1)
    expect(split(await pruneWith(two, carryOut)).gone).toEqual([old])
  })

  test('no manifest goes without a tombstone, or nobody would clear what is left of the backup', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const before = await bucket.objects()
    const pruning = pruneWith(two, carryOut, (command, when) => {
      const isTombstone = command.input.Key === `${root(old!)}pruning.json`
      if (when === 'before' && isTombstone && nameOf(command) === 'PutObjectCommand')
        throw new Error('reset by peer')
    })
    await expect(pruning).rejects.toMatchObject({ name: 'StoreUnavailable' })
    expect(await bucket.objects()).toEqual(before)
  })

  test('a manifest that somebody writes back while the rest is deleted stops the deletion: the backup stays whole', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const folder = await bucket.objects(root(old!))
    const manifest = bucket.bytes(`${root(old!)}manifest.json`)
    const pruning = pruneWith(two, carryOut, (command, when) => {
      const isManifest = command.input.Delete?.Objects?.[0]?.Key === `${root(old!)}manifest.json`
      if (isManifest && when === 'after') bucket.put(new Map([[`${root(old!)}manifest.json`, manifest]]))
    })
    await expect(pruning).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('is there although it was deleted, so the backup'),
    })
    const keysOf = (lines: string[]) => lines.map((line) => line.split(' ')[0])
    expect(keysOf(await bucket.objects(root(old!)))).toEqual(expect.arrayContaining(keysOf(folder)))
  })

  test('one that is over time ends before the next deletion, and the next one goes on', async () => {
    const ids = bucket.sealed([1, 2, 3, 4])
    const over = new AbortController()
    const pruning = pruneWith(
      { RETENTION_LAST: 1 },
      { ...carryOut, signal: over.signal },
      async (command, when) => {
        if (when === 'before' || command.input.Delete?.Objects?.[0]?.Key !== `${root(ids[1]!)}manifest.json`)
          return
        over.abort(new Error('out of time'))
      },
    )
    await expect(pruning).rejects.toThrow('out of time')
    for (const id of ids.slice(2)) expect(await bucket.objects(`${root(id)}manifest.json`)).toHaveLength(1)
    await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(await bucket.folders()).toEqual([ids[0]])
  })

  test('no run begins while a manifest is being deleted', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const order: string[] = []
    let opening: Promise<unknown> = Promise.resolve()
    await pruneWith(two, carryOut, async (command, when) => {
      const { Key, Delete } = command.input
      if (
        when === 'before' &&
        Key === `${root(old!)}pruning.json` &&
        nameOf(command) === 'PutObjectCommand'
      ) {
        opening = withConnection(bucket.clients, (connection) =>
          openRun(
            connection,
            {
              ...{ runId: 'new', operation: 'reset', strategy: 'full', requestedBy: null },
              ...{ idempotencyKey: null, requestDigest: '', startedAt: now },
            },
            { attempt: 0, invocation: 'first' },
          ),
        ).then(() => order.push('run begun'))
        await expect.poll(() => waiting(bucket.stack)).toBe(1)
      }
      if (when === 'after' && Delete?.Objects?.[0]?.Key === `${root(old!)}manifest.json`)
        order.push('manifest gone')
    })
    await opening
    expect(order).toEqual(['manifest gone', 'run begun'])
  })

  test('a ledger that is not to be had in time is busy, and nothing is deleted', async () => {
    bucket.sealed([1, 2, 3])
    const { sql } = bucket.stack
    await sql.query('BEGIN; LOCK TABLE taskmaster_reset.runs IN ROW EXCLUSIVE MODE')
    try {
      await expect(pruneWith({ ...two, LOCK_TIMEOUT_MS: 100 }, carryOut)).rejects.toThrow(DatabaseBusy)
    } finally {
      await sql.query('ROLLBACK')
    }
    expect(await bucket.folders()).toHaveLength(3)
  })
})

describe('pins', () => {
  const pin = { by: 'anna', at: now }

  test('a pinned backup stays until it is unpinned, whatever its pin holds', async () => {
    const ids = bucket.sealed([1, 2, 3, 4])
    await pinBackup(bucket.storage, prefix, { backupId: ids[2]!, ...pin })
    await pinBackup(bucket.storage, prefix, { backupId: ids[2]!, by: 'bob', at: new Date() })
    bucket.put(new Map([[`${root(ids[3]!)}pinned.json`, Buffer.from('not json')]]))
    expect(bucket.json(`${root(ids[2]!)}pinned.json`)).toEqual({
      ...{ version: 1, backupId: ids[2], pinned: true, pinnedAt: now.toISOString(), pinnedBy: 'anna' },
    })
    const result = await pruneWith({ RETENTION_LAST: 1 }, carryOut)
    expect(split(result)).toEqual({ gone: [ids[1]], kept: [ids[0], ids[2], ids[3]] })
    expect(result.backups[2]?.reasons).toEqual(['pinned'])
    const storage = bucket.clients.backups
    await unpinBackup(storage, prefix, { backupId: ids[2]!, ...pin })
    await unpinBackup(storage, prefix, { backupId: ids[2]!, by: 'bob', at: new Date() })
    expect(bucket.json(`${root(ids[2]!)}pinned.json`)).toEqual({
      ...{ version: 2, backupId: ids[2], pinned: false, unpinnedAt: now.toISOString(), unpinnedBy: 'anna' },
      ...{ digest: expect.any(String), signature: expect.any(Object) },
    })
    expect(await isPinned(storage, prefix, ids[2]!)).toBe(false)
    expect(split(await pruneWith({ RETENTION_LAST: 1 }, carryOut)).gone).toEqual([ids[2]])
  })

  test('unpinning deletes nothing, and the backup can be pinned again', async () => {
    const [newest] = bucket.sealed([1])
    const backup = { backupId: newest!, ...pin }
    const commands: string[] = []
    const { backups: storage } = bucket.clientsWith({}, (command) => void commands.push(nameOf(command)))
    for (let turn = 0; turn < 2; turn++) {
      await pinBackup(storage, prefix, backup)
      expect(await isPinned(storage, prefix, newest!)).toBe(true)
      await unpinBackup(storage, prefix, backup)
      expect(await isPinned(storage, prefix, newest!)).toBe(false)
    }
    expect(new Set(commands)).toEqual(new Set(['HeadObjectCommand', 'GetObjectCommand', 'PutObjectCommand']))
  })

  const unpinned = { version: 2, pinned: false, unpinnedAt: now.toISOString(), unpinnedBy: null }
  const unpin = (backupId: string, keys: readonly SigningKey[]) =>
    json(sealed(keys, { ...unpinned, backupId })).toString()

  const pins: [says: string, text: string][] = [
    ...['', 'null', '[]', '{"pinned":', '{"pinned":"false"}', '{"pinned":false}', '{}', '\u0000\u00ff'].map(
      (text): [string, string] => [JSON.stringify(text), text],
    ),
    ['that it is unpinned, unsigned', json({ ...unpinned, backupId: 'ID', digest: '' }).toString()],
    ['the same by a strange key', unpin('ID', strange)],
    ['the same of another backup', unpin('another', signing)],
    ['less than was signed', unpin('ID', signing).replace(',"unpinnedBy":null', '')],
    ['other than was signed', unpin('ID', signing).replace('null', '"anna"')],
  ]
  test.each(pins.filter((_, at) => isFull || at % 3 === 0))(
    'what says %s is a pin: only what was signed for this very backup is none',
    async (_says, text) => {
      const [newest] = bucket.sealed([1])
      const key = `${root(newest!)}pinned.json`
      bucket.put(new Map([[key, Buffer.from(text.replaceAll('ID', newest!))]]))
      expect(await isPinned(bucket.storage, prefix, newest!)).toBe(true)
      bucket.put(new Map([[key, Buffer.from(unpin(newest!, signing))]]))
      expect(await isPinned(bucket.storage, prefix, newest!)).toBe(false)
    },
  )

  test('a pin that cannot be read keeps the backup: nothing is deleted', async () => {
    bucket.sealed([1, 2, 3])
    const before = await bucket.objects()
    const pruned = pruneWith(two, carryOut, ({ input }) => {
      if (input.Key?.endsWith('/pinned.json')) throw new Error('reset by peer')
    })
    await expect(pruned).rejects.toThrow(StoreUnavailable)
    expect(await bucket.objects()).toEqual(before)
  })

  test('only a sealed backup can be pinned or unpinned', async () => {
    const storage = bucket.storage
    await expect(pinBackup(storage, prefix, { backupId: 'nothing', ...pin })).rejects.toThrow(NotFound)
    await expect(pinBackup(storage, prefix, { backupId: '../x', ...pin })).rejects.toThrow(InvalidRequest)
    await expect(unpinBackup(storage, prefix, { backupId: 'nothing', ...pin })).rejects.toThrow(NotFound)
    await expect(unpinBackup(storage, prefix, { backupId: 'a/b', ...pin })).rejects.toThrow(InvalidRequest)
    expect(await bucket.objects()).toEqual([])
  })

  test('a pin that comes between the decision and the deletion holds', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const before = await bucket.objects()
    const result = await pruneWith(two, carryOut, async (command, when) => {
      if (when === 'before' && nameOf(command) === 'PutObjectCommand')
        await pinBackup(bucket.storage, prefix, { backupId: old!, ...pin })
    })
    expect(result.backups.at(-1)).toMatchObject({ keep: true, reasons: ['pinned'], deleted: null })
    expect((await bucket.objects()).filter((line) => !line.includes('pinned.json'))).toEqual(before)
  })

  test('a pin that may come too late says so; if it did not, the next prune keeps the backup', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const storage = bucket.storage
    bucket.put(new Map([[`${root(old!)}pruning.json`, Buffer.from('{}')]]))
    await expect(pinBackup(storage, prefix, { backupId: old!, ...pin })).rejects.toThrow(BackupBeingPruned)
    const unseen = bucket.clientsWith({}, ({ input }) => {
      if (input.Key === `${root(old!)}pruning.json`) throw new Error('reset by peer')
    })
    await expect(pinBackup(unseen.backups, prefix, { backupId: old!, ...pin })).rejects.toThrow(
      StoreUnavailable,
    )
    expect(split(await pruneWith(two, carryOut)).gone).toEqual([])
    await pinBackup(storage, prefix, { backupId: old!, ...pin })
    expect(await verifyBackup(storage, prefix, old!, async () => {})).toMatchObject({ ok: true })
  })
})

describe('a prune that dies', () => {
  const writes = ['PutObjectCommand', 'DeleteObjectCommand', 'DeleteObjectsCommand']

  /** Fails at the n-th write, before S3 has it or after, and at everything that comes later. */
  function dyingAt(nth: number, when: 'before' | 'after'): Hook {
    let [count, dead] = [0, false]
    return (command, at) => {
      if (at === 'before' && writes.includes(nameOf(command)) && !dead) count++
      if (count === nth && at === when && writes.includes(nameOf(command))) dead = true
      if (dead) throw Object.assign(new Error('the process was killed'), { $fault: 'client' })
    }
  }

  test('at any write leaves backups that are whole, or none; the next prune ends what it began', async () => {
    for (let nth = 1; ; nth++) {
      for (const when of isFull ? (['before', 'after'] as const) : (['after'] as const)) {
        const ids = bucket.sealed([1, 2, 3])
        const pruned = await pruneWith(two, carryOut, dyingAt(nth, when)).catch((error) => error)
        if (!(pruned instanceof Error)) {
          expect(nth).toBe(6)
          return
        }
        expect(pruned).toBeInstanceOf(StoreUnavailable)
        const { backups, leftovers } = await pruneWith(two)
        for (const { backupId } of backups) {
          const verified = await verifyBackup(bucket.storage, prefix, backupId, async () => {})
          expect(verified, `${backupId} after write ${nth}`).toMatchObject({ ok: true })
        }
        const next = await pruneWith(two, carryOut)
        expect(next.leftovers.map(({ backupId }) => backupId)).toEqual(
          leftovers.map(({ backupId }) => backupId),
        )
        expect(split(next).kept).toEqual(ids.slice(0, 2))
        expect((await bucket.folders()).sort()).toEqual(ids.slice(0, 2).sort())
        expect((await bucket.objects()).filter((line) => line.includes('pruning.json'))).toEqual([])
      }
    }
  })

  test('leaves what it began alone while pruning is refused', async () => {
    bucket.sealed([1, 2, 3])
    await pruneWith(two, carryOut, dyingAt(3, 'before')).catch(() => {})
    await bucket.run({ status: 'failed' })
    const before = await bucket.objects()
    const result = await pruneWith(two, carryOut)
    expect(result.leftovers).toHaveLength(1)
    expect(await bucket.objects()).toEqual(before)
  })

  test.runIf(isFull)(
    `of many objects that S3 refuses to delete twenty are named, and all are counted ${inFullForm}`,
    async () => {
      bucket.sealed([1, 2])
      const files = Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`${index}`, 'x']))
      const old = { backupId: '2026-01-01T00-00-00Z-aaaaaa', sealedAt: '2026-01-01T00:00:00.000Z' }
      const { objects, keys } = sampleBackup({ ...old, files })
      bucket.put(objects)
      let refused: { Key?: string }[] = []
      const result = await pruneWith(two, carryOut, ({ input }, when) => {
        if (when === 'after') return refused.length === 0 ? undefined : { Errors: refused }
        const [asked, isFile] = [input.Delete?.Objects ?? [], /\/files\//]
        refused = asked
          .filter(({ Key = '' }) => isFile.test(Key))
          .map((one) => ({ ...one, Code: 'AccessDenied' }))
        if (input.Delete) input.Delete.Objects = asked.filter(({ Key = '' }) => !isFile.test(Key))
        return undefined
      })
      const deleted = result.backups.at(-1)?.deleted
      expect(deleted).toMatchObject({ objects: objects.size - 25, failures: 25 })
      expect(deleted?.failed).toHaveLength(20)
      expect(deleted?.bytes).toBe(
        [...objects]
          .filter(([key]) => !key.startsWith(keys.file('')))
          .reduce((sum, [, { length }]) => sum + length, 0),
      )
    },
  )

  test('an object that S3 refuses to delete is told, and tried again by the next prune', async () => {
    const [, , old] = bucket.sealed([1, 2, 3])
    const stubborn = `${root(old!)}cache/00000.jsonl.zst`
    const refuse = (key: string): Hook => {
      let isAsked = false
      return (command, when) => {
        const objects = command.input.Delete?.Objects ?? []
        if (when === 'after') return isAsked ? { Errors: [{ Key: key, Code: 'AccessDenied' }] } : undefined
        const index = objects.findIndex(({ Key }) => Key === key)
        isAsked = index >= 0
        if (isAsked) objects.splice(index, 1)
        return undefined
      }
    }
    const result = await pruneWith(two, carryOut, refuse(stubborn))
    expect(result.backups.at(-1)?.deleted).toMatchObject({
      ...{ objects: 9, failures: 1, failed: [{ key: stubborn, code: 'AccessDenied' }] },
    })
    expect((await bucket.objects(root(old!))).map((line) => line.split(' ')[0])).toEqual([
      stubborn,
      `${root(old!)}pruning.json`,
    ])
    const clients = bucket.clientsWith(two, refuse(stubborn))
    const told = await showPrune({ clients } as Connected, { delete: true })
    expect(told).toMatchObject({ code: 1, text: expect.stringContaining('1 object could not be deleted') })
    const next = await pruneWith(two, carryOut)
    expect(next.leftovers).toEqual([
      { backupId: old, deleted: expect.objectContaining({ objects: 1, failures: 0 }) },
    ])
    expect(await bucket.folders()).toHaveLength(2)

    const [, , older] = bucket.sealed([1, 2, 3])
    const before = await bucket.objects()
    // The command deletes only when it is told to.
    const looked = await showPrune({ clients: bucket.clientsWith(two) } as Connected, {})
    expect(looked).toMatchObject({ code: 0, document: { dryRun: true } })
    expect(await bucket.objects()).toEqual(before)
    const kept = await pruneWith(two, carryOut, refuse(`${root(older!)}manifest.json`))
    expect(kept.backups.at(-1)).toMatchObject({
      ...{ keep: true, reasons: ['its manifest cannot be deleted'] },
      deleted: { objects: 0, failures: 1 },
    })
    expect((await bucket.objects()).filter((line) => !line.includes('pruning.json'))).toEqual(before)
  })
})
