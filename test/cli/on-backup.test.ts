import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeAll, expect, test } from 'vitest'
import { withDigest } from '../../lib/backup/digest.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack()
const backups: Outcome[] = []

beforeAll(async () => {
  const sent = { operation: 'backup', strategy: 'cache-only' }
  for (let backup = 0; backup < 2; backup++) backups.push(await cli.run(sent))
})

test('a backup is kept while it is pinned, and can be deleted when it is not the newest', async () => {
  const [old = '', newest = ''] = backups.map(({ backupId }) => backupId ?? '')
  expect(await cli.cli(['pin', old, '--json'])).toMatchObject({
    code: 0,
    json: { backupId: old, pinned: true },
  })
  expect((await cli.cli(['backups'])).stdout).toMatch(new RegExp(`${old} .* pinned\n`))
  const remove = (backupId: string) => cli.cli(['delete', backupId, '--confirm', 'local', '--json'])
  const pinned = await remove(old)
  expect(pinned).toMatchObject({ code: 3, json: { error: { name: 'BackupKept' } } })
  expect(pinned.json.error.message).toContain('because of this: pinned.')
  expect(await cli.cli(['unpin', old])).toMatchObject({ code: 0, stdout: `${old} is not pinned.\n` })
  const refused = await remove(newest)
  expect(refused).toMatchObject({ code: 3, json: { error: { name: 'BackupKept' } } })
  const deleted = await remove(old)
  expect(deleted.code).toBe(0)
  expect(Outcome.parse(deleted.json).subject).toMatchObject({ backupId: old, state: 'deleted' })
  const again = await cli.cli(['delete', old, '--confirm', 'local'])
  expect(again.code).toBe(1)
  expect(again.stderr).toContain(`NotFound: There is no sealed backup ${old}`)
})

test('verify is a run like any other: it has its row and its outcome, and is refused while another is active', async () => {
  const { backupId } = await cli.run({ operation: 'backup', strategy: 'full', rehearse: false })
  const read = await cli.cli(['verify', backupId ?? '', '--json'])
  expect(read).toMatchObject({ code: 0, json: { operation: 'verify', status: 'succeeded' } })
  expect(Outcome.parse(read.json).subject).toMatchObject({ backupId, state: 'verified' })
  const loaded = await cli.cli(['verify', backupId ?? '', '--rehearse'])
  expect(loaded.code).toBe(0)
  expect(loaded.stdout).toContain(`${backupId}  rehearsed`)
  const runs = await cli.cli(['runs', '--json'])
  expect(runs.json.runs.slice(0, 2)).toMatchObject([{ operation: 'verify' }, { operation: 'verify' }])

  const { admin } = cli.stack
  await admin.query(
    `INSERT INTO taskmaster_reset.runs (run_id, operation, request_digest, status, phase) VALUES ('other', 'reset', '', 'running', 'Wipe files')`,
  )
  const refused = await cli.cli(['verify', backupId ?? '', '--rehearse', '--json'])
  await admin.query(`DELETE FROM taskmaster_reset.runs WHERE run_id = 'other'`)
  expect(refused).toMatchObject({ code: 4, json: { error: { name: 'RunActive' } } })
})

test('verify of a damaged backup ends with 1, and names the object', async () => {
  const { backupId, backupPrefix } = await cli.run({ operation: 'backup', strategy: 'cache-only' })
  const [, Bucket = '', root = ''] = /^s3:\/\/([^/]+)\/(.*)$/.exec(backupPrefix ?? '') ?? []
  await cli.stack.s3.send(new DeleteObjectCommand({ Bucket, Key: `${root}cache/00000.jsonl.zst` }))
  const { code, json } = await cli.cli(['verify', backupId ?? '', '--json'])
  expect([code, json.subject.state]).toEqual([1, 'damaged'])
  expect(json.error).toMatchObject({ name: 'BackupDamaged' })
  expect(json.error.message).toContain('cache/00000.jsonl.zst')
})

test('a backup of another environment that nobody signed is shown so, and needs a word to be pinned and to be loaded', async () => {
  const { backupId: id, backupPrefix } = await cli.run({
    operation: 'backup',
    strategy: 'full',
    rehearse: false,
  })
  const backupId = id ?? ''
  const [, Bucket = '', root = ''] = /^s3:\/\/([^/]+)\/(.*)$/.exec(backupPrefix ?? '') ?? []
  const place = { Bucket, Key: `${root}manifest.json` }
  const { Body } = await cli.stack.s3.send(new GetObjectCommand(place))
  const { digest: _, signature: __, ...manifest } = JSON.parse((await Body?.transformToString()) ?? '')
  const put = (edited: object) =>
    cli.stack.s3.send(new PutObjectCommand({ ...place, Body: JSON.stringify(withDigest(edited)) }))

  await put({ ...manifest, environment: 'elsewhere' })
  expect(await cli.cli(['pin', backupId, '--json'])).toMatchObject({
    ...{ code: 3, json: { error: { name: 'ForeignBackup' } } },
  })
  expect(await cli.cli(['pin', backupId, '--allow-foreign'])).toMatchObject({ code: 0 })
  await put(manifest)
  expect((await cli.cli(['backups'])).stdout).toMatch(new RegExp(`${backupId} .* UNSIGNED`))
  const verify = ['verify', backupId, '--rehearse', '--json']
  expect(await cli.cli(verify)).toMatchObject({ json: { error: { name: 'BackupUnsigned' } } })
  expect(await cli.cli([...verify, '--allow-unsigned'])).toMatchObject({ code: 0 })
})

test('a run that is over, or that nobody knows, cannot be cancelled', async () => {
  const ended = await cli.cli(['cancel', backups[0]?.runId ?? ''])
  expect(ended.code).toBe(3)
  expect(ended.stderr).toMatch(/^RunEnded: Run .* is over: it is succeeded/)
  expect((await cli.cli(['cancel', 'nobody'])).stderr).toMatch(/^NotFound: /)
})
