import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeAll, expect, test } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { withDigest } from '../support/signing.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack()
const backups: Outcome[] = []

beforeAll(async () => {
  if (!isFull) return // nothing of the short form needs a backup
  const sent = { operation: 'backup', strategy: 'cache-only' }
  for (let backup = 0; backup < 2; backup++) backups.push(await cli.run(sent))
})

test.runIf(isFull)(
  `a backup is kept while it is pinned, and can be deleted when it is not the newest ${inFullForm}`,
  async () => {
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
    const refused = await cli.cli(['delete', newest, '--confirm', 'local'])
    expect(refused).toMatchObject({ code: 3, stdout: expect.stringContaining('BackupKept: ') })
    expect(refused.stderr).toContain(
      `Delete backup ${newest} of the environment "local" (cache-only, read back):`,
    )
    expect(refused.stderr).toContain('It cannot be restored afterwards.')
    const deleted = await remove(old)
    expect(deleted.code).toBe(0)
    expect(Outcome.parse(deleted.json).subject).toMatchObject({ backupId: old, state: 'deleted' })
    const taken = (await cli.cli(['runs', backups[0]?.runId ?? ''])).stdout
    expect(taken).toContain(`\nBackup: ${backups[0]?.backupPrefix} (deleted since)\n`)
    const again = await cli.cli(['delete', old, '--confirm', 'local'])
    expect(again.code).toBe(2)
    expect(again.stderr).toContain(`NotFound: There is no sealed backup ${old}`)
  },
)

test.runIf(isFull)(
  `a backup is called by its label wherever it is named, is kept by it, and an id that there is not ends with 2 ${inFullForm}`,
  async () => {
    const taken = await cli.cli([
      'backup',
      'cache-only',
      '--label',
      'baseline',
      '--note',
      'before the fair',
      '--json',
    ])
    const { backupId } = taken.json
    const listed = await cli.cli(['backups', '--json'])
    expect(listed.json.backups[0]).toMatchObject({ backupId, labels: ['baseline'], note: 'before the fair' })
    expect((await cli.cli(['backups'])).stdout).toMatch(/ baseline {2}before the fair\n/)
    const refused = await cli.cli(['delete', 'baseline', '--confirm', 'local'])
    expect(refused).toMatchObject({ code: 3, stdout: expect.stringContaining('BackupKept: ') })
    expect(refused.stderr).toContain(`It is about:\n  backups  s3://`)
    expect(await cli.cli(['pin', 'baseline', '--json'])).toMatchObject({
      code: 0,
      json: { backupId, pinned: true },
    })
    const said = await cli.cli(['label', backupId.slice(0, -2), 'spring', '--note', ''])
    expect(said.stdout).toBe(`${backupId} is called baseline, spring.\n`)
    const none = await cli.cli(['label', 'spring', '--remove', '--json'])
    expect(none).toMatchObject({ code: 0, json: { backupId, labels: [], note: null } })
    const verified = await cli.cli(['verify', 'latest', '--json'])
    expect(verified.json.subject).toMatchObject({ backupId, state: 'verified' })
    const unknown = [
      ['verify', 'gone'],
      ['label', 'gone', 'x'],
      ['runs', '--before', 'gone'],
    ]
    const codes = await Promise.all(unknown.map(async (asked) => (await cli.cli(asked)).code))
    expect(codes).toEqual([2, 2, 2])
    expect((await cli.cli(['label', 'latest', 'No Label'])).stderr).toContain('InvalidRequest: label: ')
    await cli.cli(['unpin', backupId])
  },
)

test.runIf(isFull)(
  'verify is a run like any other: it has its row and its outcome, and is refused while another is active (full form)',
  async () => {
    const { backupId } = await cli.run({ operation: 'backup', strategy: 'full', rehearse: false })
    const read = await cli.cli(['verify', backupId ?? '', '--json'])
    expect(read).toMatchObject({ code: 0, json: { operation: 'verify', status: 'succeeded' } })
    expect(Outcome.parse(read.json).subject).toMatchObject({ backupId, state: 'verified' })
    const loaded = await cli.cli(['verify', backupId ?? '', '--rehearse'])
    expect(loaded.code).toBe(0)
    expect(loaded.stdout).toMatch(
      new RegExp(
        `The backup ${backupId} was read, \\d+ objects, .*: every object is what was written, and every row was loaded and is the one that was backed up\\.\\n`,
      ),
    )
    expect((await cli.cli(['runs'])).stdout).toMatch(
      new RegExp(`verify .*succeeded +${backupId} rehearsed\\n`),
    )
    const runs = await cli.cli(['runs', '--json'])
    expect(runs.json.runs.slice(0, 2)).toMatchObject([{ operation: 'verify' }, { operation: 'verify' }])

    const { admin } = cli.stack
    await admin.query(
      `INSERT INTO taskmaster_reset.runs (run_id, operation, request_digest, status, phase) VALUES ('other', 'reset', '', 'running', 'Wipe files')`,
    )
    const refused = await cli.cli(['verify', backupId ?? '', '--rehearse', '--json'])
    await admin.query(`DELETE FROM taskmaster_reset.runs WHERE run_id = 'other'`)
    expect(refused).toMatchObject({ code: 4, json: { error: { name: 'RunActive' } } })
  },
)

test.runIf(isFull)(
  `diff prints the first rows of a table that differ, with --json in its document ${inFullForm}`,
  async () => {
    const { backupId } = await cli.run({ operation: 'backup', strategy: 'database-only', rehearse: false })
    await cli.stack.sql.query(
      `UPDATE users SET display_name = 'Somebody else' WHERE id = (SELECT min(id) FROM users)`,
    )
    const diff = ['diff', backupId ?? '', '--rows', 'users', '--limit', '2']
    const { code, stdout } = await cli.cli(diff)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /\nA restore would change back 1 row of public\.users:\n\n +column +in the backup +now\n .*display_name .* Somebody else\n/,
    )
    const { rows, ...outcome } = (await cli.cli([...diff, '--json'])).json
    expect(Outcome.parse(outcome).difference?.database?.tables).toHaveLength(1)
    expect(rows).toMatchObject({
      name: 'public.users',
      limit: 2,
      changed: 1,
      rows: [{ kind: 'changed' }],
    })
    const refused = await cli.cli(['diff', backupId ?? '', '--rows', 'nothing'])
    expect(refused.code).toBe(2)
    expect(refused.stdout).toMatch(
      /InvalidRequest: .* does not hold the table nothing, .*Correct --rows, as schema\.table/,
    )
  },
)

test.runIf(isFull)(`verify of a damaged backup ends with 1, and names the object ${inFullForm}`, async () => {
  const { backupId, backupPrefix } = await cli.run({ operation: 'backup', strategy: 'cache-only' })
  const [, Bucket = '', root = ''] = /^s3:\/\/([^/]+)\/(.*)$/.exec(backupPrefix ?? '') ?? []
  await cli.stack.s3.send(new DeleteObjectCommand({ Bucket, Key: `${root}cache/00000.jsonl.zst` }))
  const { code, json } = await cli.cli(['verify', backupId ?? '', '--json'])
  expect([code, json.subject.state]).toEqual([1, 'damaged'])
  expect(json.error).toMatchObject({ name: 'BackupDamaged' })
  expect(json.error.message).toContain('cache/00000.jsonl.zst')
})

test.runIf(isFull)(
  'a backup of another environment that nobody signed is shown so, and needs a word to be pinned and to be loaded (full form)',
  async () => {
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
    const dry = await cli.cli(['restore', backupId, '--dry-run'])
    expect(dry.code).toBe(3)
    expect(dry.stdout).toMatch(/^restore would be refused: BackupUnsigned: .* say --allow-unsigned\n/)
  },
)

test.runIf(isFull)(
  `a run that is over, or that nobody knows, cannot be cancelled ${inFullForm}`,
  async () => {
    const ended = await cli.cli(['cancel', backups[0]?.runId ?? ''])
    expect(ended.code).toBe(3)
    expect(ended.stderr).toMatch(/^RunEnded: Run .* is over \(succeeded\)\. /)
    expect((await cli.cli(['cancel', 'nobody'])).stderr).toMatch(/^NotFound: /)
  },
)

test.runIf(isFull)(
  'a restore shows what there is now and what there is afterwards, and says nothing of what a reset would keep (full form)',
  async () => {
    const { backupId } = await cli.run({ operation: 'backup', strategy: 'full', rehearse: false })
    await cli.stack.sql.query(
      "UPDATE users SET display_name = 'changed'; CREATE TABLE later (i int); DELETE FROM audit_logs",
    )
    await cli.stack.sql.query('INSERT INTO later VALUES (1)')
    const restore = ['restore', backupId ?? '', '--confirm', 'local', '--target', 'database', '--no-rehearse']
    const { code, stdout, stderr } = await withVariables({ PRESERVE_TABLES: 'users' }, () =>
      cli.cli(restore, { env: { PRESERVE_TABLES: 'users' } }),
    )
    expect(code).toBe(0)
    expect(stderr).toMatch(/\n +now +after\n/)
    expect(stderr).toMatch(/public\.audit_logs +0 rows +100 rows\n/)
    expect(stderr).toMatch(/public\.users +20 rows +20 rows\n/)
    expect(stderr).toMatch(/public\.later +1 row +stays: it is not in the backup\n/)
    expect(stderr).toContain(
      'All rows of these tables become those of the backup, also of tables that a reset would keep: rows that were changed since are changed back',
    )
    expect(stderr).toContain('\nNot touched: files, cache.\n')
    expect(stderr).not.toMatch(/\b(kept|wiped|keeps)\b/)
    const { rows } = await cli.stack.sql.query(
      "SELECT count(*)::int AS n FROM users WHERE display_name = 'changed'",
    )
    expect(rows[0].n).toBe(0) // as it was said
    expect(stdout).toMatch(
      /database +restored +539 rows in 7 tables; the run's backup took over \d+ rows of \S+, and \d+ were exported\n/,
    )
    await cli.stack.sql.query('DROP TABLE later')
  },
)

test.runIf(isFull)(
  'a dry run of a restore says what each table would become, and of a backup that it would only be written (full form)',
  async () => {
    const { backupId } = await cli.run({ operation: 'backup', strategy: 'full', rehearse: false })
    await cli.stack.sql.query('DELETE FROM audit_logs')
    const restore = await cli.cli(['restore', backupId ?? '', '--dry-run'])
    expect(restore).toMatchObject({ code: 0 })
    expect(restore.stdout).toMatch(/audit_logs +0 rows +would be replaced by the 100 rows of the backup\n/)
    expect(restore.stdout).toMatch(
      /files +12 files, .* +the 12 files of the backup would be put back; others would stay\n/,
    )
    const none = await cli.cli(['restore', '2026-01-01T00-00-00Z-000000', '--dry-run'])
    expect(none.code).toBe(1)
    expect(none.stdout).toMatch(/^restore would be refused: NotFound: There is no sealed backup /)
    const backup = await cli.cli(['backup', 'cache-only', '--dry-run'])
    expect(backup.stdout).toMatch(/cache +30 keys +would be backed up, and stay\n/)
    expect(backup.stdout).toContain('It would not touch: database, files.')
    expect(backup.stdout).toContain('\nThe backup would be written, and read back byte for byte.\n')
    expect(restore.stdout + backup.stdout).not.toMatch(/succeeded|untouched/)
  },
)

test.runIf(isFull)(
  'files that are there as they were backed up count as restored, with their bytes (full form)',
  async () => {
    const { files } = await cli.count()
    const { backupId } = await cli.run({ operation: 'backup', strategy: 'files-only' })
    const { json } = await cli.cli(['restore', backupId ?? '', '--confirm', 'local', '--json'])
    expect(json.targets.files).toEqual({ state: 'restored', ...files })
  },
)

test.runIf(isFull)(
  `what a run is refused for before it begins has no id to look for, and is told by the one in its JSON ${inFullForm}`,
  async () => {
    const refused = ['verify', '2026-01-01T00-00-00Z-000000']
    const { code, stdout, stderr } = await cli.cli(['reset', 'full', '--confirm', 'elsewhere'])
    expect(code).toBe(3)
    expect(stdout).toMatch(/^Reset full did not begin; nothing was touched\.\n\nConfirmationMismatch: /)
    expect(stdout + stderr).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}/)
    expect(stderr).toMatch(/✗ Finish /)
    expect(stderr).not.toContain('Finish failed')
    const { json } = await cli.cli(['reset', 'full', '--confirm', 'elsewhere', '--json'])
    expect((await cli.cli(['runs', json.runId])).stdout).toBe(stdout)
    // One that began is listed with the backup it is about, and what became of it.
    const begun = await cli.cli(refused)
    const [, runId = ''] = /^Run (\S+)\n/.exec(begun.stderr) ?? []
    expect((await cli.cli(['runs'])).stdout).toContain(runId)
  },
)

test('tokens are told with what they may do, until when, and when they were last used', async () => {
  const entries = [
    { name: 'ci', sha256: '0'.repeat(64), scopes: ['read', 'reset'] },
    { name: 'old', sha256: '1'.repeat(64), scopes: [], expiresAt: '2020-01-01T02:00:00+02:00' },
  ]
  await cli.stack.admin.query(
    `INSERT INTO taskmaster_reset.tokens (name, last_used_at) VALUES ('ci', '2026-11-22T19:05:33Z')`,
  )
  const env = { API_TOKENS: JSON.stringify(entries) }
  const { code, stdout } = await cli.cli(['tokens'], { env })
  expect(code).toBe(0)
  expect(stdout).toMatch(/^ci +read,reset +never expires +last used 2026-11-22 19:05:33 UTC$/m)
  expect(stdout).toMatch(/^old +expired 2020-01-01 00:00:00 UTC +no use known$/m)
  const { json } = await cli.cli(['tokens', '--json'], { env })
  expect(json.tokens[0]).toEqual({
    name: 'ci',
    scopes: ['read', 'reset'],
    expiresAt: null,
    lastUsedAt: '2026-11-22T19:05:33.000Z',
  })
  expect(JSON.stringify(json)).not.toContain('0000000')
})
