import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readBackup } from '../../lib/backup/read.ts'
import { makeClients } from '../../lib/clients.ts'
import { upload } from '../../local/cli/upload/upload.ts'
import { type Backups, prefix, startBackups } from '../backup/real-backups.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { endOf, runScript, spawnScript } from './run-script.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

/** An advisory lock, of which a load waits for its share. */
const gate = 2026

let backups: Backups
let root: string

beforeAll(async () => {
  if (!isFull) return
  vi.stubEnv('LOCK_TIMEOUT_MS', '4000') // of which there are four tries
  backups = await startBackups()
  root = await mkdtemp(join(tmpdir(), 'upload-stopped-'))
  await backups.fill('upload')
  // More than sockets hold, and its first row waits while the test holds the gate.
  await backups.sql.query(`CREATE FUNCTION passes(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
      IF $1 = 'waits' THEN PERFORM pg_advisory_xact_lock_shared(${gate}); END IF; RETURN true; END $$;
    CREATE DOMAIN gated AS text CHECK (public.passes(VALUE)); ALTER TABLE nothing ADD COLUMN text gated;
    INSERT INTO nothing VALUES (0, 'waits');
    INSERT INTO nothing SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 150000) i`)
})
afterAll(async () => {
  if (!isFull) return
  await Promise.all([backups.stop(), rm(root, { recursive: true, force: true })])
})

test.runIf(isFull)(
  `an upload that stands still while it loads rows, as on a laptop that sleeps, keeps no run waiting ${inFullForm}`,
  async () => {
    const { backupId } = await backups.run({ operation: 'backup' })
    const folder = join(root, 'brought')
    await runScript('cli', ['download', backupId ?? '', folder, '--json'], { env: backups.env })
    await backups.admin.query(`SELECT pg_advisory_lock(${gate})`)
    const child = spawnScript('cli', ['upload', folder], { env: backups.env })
    const ended = endOf(child)
    try {
      await expect.poll(loadsAtGate, { timeout: 40_000 }).toEqual([{ passed: false }])
      child.kill('SIGSTOP')
      await backups.admin.query(`SELECT pg_advisory_unlock(${gate})`)
      await sleep(500) // what it has sent is in
      expect(await loadsAtGate()).toEqual([{ passed: true }])
      const began = performance.now()
      const night = await backups.run({ operation: 'backup' })
      expect(night.status).toMatch(/^succeeded/)
      expect(performance.now() - began).toBeLessThan(12_000)
    } finally {
      child.kill('SIGCONT')
    }
    const { code, stderr } = await ended
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/RunActive|StoreUnavailable/),
    })
    const listed = await runScript('cli', ['backups', '--json'], { env: backups.env })
    expect(listed.json.backups).toHaveLength(2)
  },
)

test.runIf(isFull)(
  `an upload whose last answer was lost has made a backup, and says so ${inFullForm}`,
  async () => {
    const clients = await makeClients()
    const { s3 } = clients.backups
    let lost = 0
    async function send(command: Parameters<S3Client['send']>[0]): Promise<unknown> {
      const answer = await s3.send(command)
      if (!(command instanceof PutObjectCommand) || !command.input.Key?.endsWith('/manifest.json'))
        return answer
      lost++
      throw new Error('socket hang up')
    }
    const losing = { ...clients.backups, s3: Object.assign(Object.create(s3) as S3Client, { send }) }
    const made = await upload(
      { ...clients, backups: losing },
      { folder: join(root, 'brought'), by: 'x', report() {}, signal: new AbortController().signal },
    )
    expect(lost).toBe(1)
    expect(await readBackup(clients.backups, prefix, made.backupId)).toMatchObject({
      imported: made.imported,
    })
    // Nor does it leave its copies of all rows in the database.
    const copies = `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'taskmaster_scratch_%'`
    expect((await backups.admin.query(copies)).rows).toEqual([])
  },
)

/** The sessions that have loaded as far as the gate. */
async function loadsAtGate(): Promise<unknown[]> {
  const { rows } = await backups.admin.query(
    `SELECT granted AS passed FROM pg_locks
     WHERE locktype = 'advisory' AND objid = ${gate} AND mode = 'ShareLock'`,
  )
  return rows
}
