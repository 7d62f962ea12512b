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

let backups: Backups
let root: string

beforeAll(async () => {
  if (!isFull) return
  vi.stubEnv('LOCK_TIMEOUT_MS', '4000') // of which there are four tries
  backups = await startBackups()
  root = await mkdtemp(join(tmpdir(), 'upload-stopped-'))
  await backups.fill('upload')
  // Long enough to be met while it is loaded.
  await backups.sql.query(`ALTER TABLE nothing ADD COLUMN text text;
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
    const child = spawnScript('cli', ['upload', folder], { env: backups.env })
    const ended = endOf(child)
    try {
      await expect.poll(isLoading, { timeout: 40_000, interval: 5 }).toBe(true)
      child.kill('SIGSTOP')
      await sleep(500) // what it has sent is in
      expect(await isLoading()).toBe(true)
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
  },
)

/** Whether a session of another process than ours copies rows into a scratch schema. */
async function isLoading(): Promise<boolean> {
  const { rows } = await backups.admin.query(
    `SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE n.nspname LIKE 'taskmaster_scratch_%' AND l.mode = 'RowExclusiveLock' AND a.query LIKE 'COPY%' AND c.relname <> 'loaded'`,
  )
  return rows.length > 0
}
