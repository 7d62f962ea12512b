import { PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { NotComparable, NotPermitted } from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { checkDiff, planDiff } from '../../lib/run/on-backup/diff.ts'
import type { SigningKey } from '../../lib/signature.ts'
import { json, sampleBackup } from '../backup/sample-backup.ts'
import { useDatabase } from '../database/database-stack.ts'

const database = useDatabase()
const [backupId, to] = ['2026-11-20T03-00-00Z-3f9a2c', '2026-11-21T03-00-00Z-3f9a2c']

/** Puts a backup there, signed, of this environment. */
async function put(id: string, edit: (section: NonNullable<Manifest['database']>) => void = () => {}) {
  const { storage, clients } = database
  const { manifest, keys } = sampleBackup({
    ...{ backupId: id, environment: clients.config.ENVIRONMENT, ranged: true },
    tables: { 'public.users': [3] },
  })
  edit(manifest.database!)
  const Body = json(sealed(storage.signing as readonly SigningKey[], manifest))
  await storage.s3.send(new PutObjectCommand({ Bucket: storage.name, Key: keys.manifest, Body }))
}

const request = { operation: 'diff', backupId, to } as const
const check = () =>
  withConnection(database.clients, (connection) => checkDiff(database.clients, connection, request))
const plan = () =>
  withConnection(database.clients, (connection) =>
    planDiff(database.clients, connection, { run: { runId: 'run', attempt: 0 }, request }),
  )

it('are compared when one seed and one major version of the server wrote their hashes, and no others', async () => {
  await put(backupId)
  await put(to, (section) => Object.assign(section, { serverVersion: '18.9' }))
  await check()
  await put(to, (section) => Object.assign(section, { seed: '7' }))
  await expect(check()).rejects.toThrow(NotComparable)
  await expect(check()).rejects.toThrow('the hashes of their rows begin with different seeds')
  await put(to, (section) => Object.assign(section, { serverVersion: '17.9' }))
  await expect(check()).rejects.toThrow(NotComparable)
  await expect(check()).rejects.toThrow('Postgres 18.4 wrote the first and 17.9 the other')
})

it('are refused beforehand where the role may make no temporary tables', async () => {
  await put(backupId)
  await put(to)
  expect((await plan()).warnings).toEqual([])
  const { admin, sql } = database
  const [{ name, owner }] = (
    await sql.query('SELECT quote_ident(current_database()) AS name, quote_ident(current_user) AS owner')
  ).rows
  await admin.query(`REVOKE TEMP ON DATABASE ${name} FROM PUBLIC, ${owner}`)
  await expect(plan()).rejects.toThrow(NotPermitted)
})
