import { readdirSync, readFileSync } from 'node:fs'
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fenceKey } from '../../lib/cache/keys.ts'
import { memoryS3 } from './memory-s3.ts'
import { type Backups, type Objects, prefix, startBackups } from './real-backups.ts'
import { verifyBackup } from './verify-whole.ts'

/**
 * Backups as version 1 of the format was first written: of a full reset that found changed rows at its wipe, and so with a
 * late file. They are never written anew: what can be restored today must be restored by every later version.
 */
const folder = new URL('./kept/', import.meta.url)

type Kept = { backupId: string; objects: Objects; damaged: string[] }

function read(name: string): Kept {
  const { backupId, damaged, objects } = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  const bytes = Object.entries<string>(objects).map(
    ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
  )
  return { backupId, damaged, objects: new Map(bytes) }
}

async function verified({ backupId, objects }: Kept) {
  return verifyBackup(memoryS3(objects).storage, prefix, backupId, async () => {})
}

const damagedOnes = readdirSync(folder)
  .filter((file) => file.endsWith('.json') && file !== 'intact.json')
  .map((file) => file.replace('.json', ''))

test('a kept backup that is intact is found to be so', async () => {
  expect(await verified(read('intact'))).toMatchObject({ ok: true, problems: [] })
})

test.each(damagedOnes)('a kept backup with damage is found and named: %s', async (name) => {
  const kept = read(name)
  const { ok, problems, extra } = await verified(kept)
  // What belongs to no backup does no harm to a restore, and is reported.
  expect(ok).toBe(name === 'extra-part')
  const named = [...problems, ...extra].map(({ key }) => key)
  for (const key of kept.damaged) expect(named).toContain(key)
})

describe('a kept backup', () => {
  let backups: Backups
  const { backupId, objects } = read('intact')

  /** Users but the late one, the files with their ETags, the keys. */
  async function look() {
    const users = await backups.sql.query(`SELECT id, name FROM users WHERE name <> 'late' ORDER BY id`)
    const files = new ListObjectsV2Command({ Bucket: backups.env.FILES_BUCKET, EncodingType: 'url' })
    return {
      users: users.rows,
      files: (await backups.s3.send(files)).Contents?.map(({ Key, ETag }) => [Key, ETag]),
      keys: (await backups.redis.keys('*')).filter((key) => key !== fenceKey).sort(),
    }
  }

  beforeAll(async () => {
    backups = await startBackups()
    await backups.fill('kept')
    for (const [Key, Body] of objects)
      await backups.s3.send(new PutObjectCommand({ Bucket: backups.bucket, Key, Body }))
  })
  afterAll(() => backups?.stop())

  test('is restored by this version: rows, files and keys', async () => {
    const before = await look()
    expect(before.users).toHaveLength(120)
    await backups.sql.query('TRUNCATE users, worlds')
    await backups.redis.del('list', 'set', 'page:1')
    const restore = { operation: 'restore', backupId, confirm: 'local' }
    await expect(backups.run(restore)).rejects.toThrow('BackupUnsigned: ')
    expect(await look()).not.toEqual(before) // nothing was touched
    const { status } = await backups.run({ ...restore, allowUnsigned: true })
    expect(status).toMatch(/^succeeded/)
    expect(await look()).toEqual(before)
    // The late file: one row came and another one went before the wipe.
    const late = await backups.sql.query(`SELECT count(*)::int FROM users WHERE name = 'late'`)
    const worlds = await backups.sql.query('SELECT count(*)::int FROM worlds')
    expect([late.rows[0].count, worlds.rows[0].count]).toEqual([1, 79])
  })
})
