import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readBackup } from '../../lib/backup/read.ts'
import { currentClients } from '../../lib/task.ts'
import { download } from '../../local/cli/download/download.ts'
import { environment, useResetStack } from '../e2e/reset-stack.ts'
import { isFull } from '../support/trust.ts'
import { dump } from './dump.ts'
import { makeTorture, tortureSchemas } from './torture.ts'

const reset = useResetStack()

beforeAll(async () => {
  process.env.DATABASE_SCHEMAS = JSON.stringify(tortureSchemas)
  await makeTorture(reset.stack.sql, reset.stack.admin)
  await reset.succeed({ operation: 'claim', confirm: environment })
})
afterAll(() => {
  delete process.env.DATABASE_SCHEMAS
})

const run = promisify(execFile)

/** Of a database, by which the same text means something else, or is written otherwise. */
const settings = Object.entries({
  ...{
    standard_conforming_strings: 'off',
    quote_all_identifiers: 'on',
    array_nulls: 'off',
    xmloption: 'document',
  },
  ...{
    DateStyle: 'SQL, DMY',
    IntervalStyle: 'sql_standard',
    TimeZone: 'Asia/Kathmandu',
    client_encoding: 'LATIN1',
  },
  ...{ bytea_output: 'escape', extra_float_digits: '-15', default_transaction_read_only: 'on' },
})

const foreignKey = 'ALTER TABLE elsewhere.watchers ADD FOREIGN KEY (author) REFERENCES app.authors'
const noForeignKey = 'ALTER TABLE elsewhere.watchers DROP CONSTRAINT watchers_author_fkey'

describe('a database of everything that Postgres allows', () => {
  let backupId: string | null
  let before: Record<string, unknown>

  it('is, after a reset and a restore by the role that owns it, exactly what it was', async () => {
    const { admin, sql } = reset.stack
    before = await dump(admin)
    await sql.query(noForeignKey) // a reset would refuse: the table that refers to wiped rows is not managed
    const request = {
      operation: 'reset',
      strategy: 'database-only',
      rehearse: isFull,
      confirm: environment,
    }
    backupId = (await reset.succeed(request)).backupId
    expect((await dump(admin))['app.authors']).toEqual([])
    await reset.succeed({
      operation: 'restore',
      backupId,
      confirm: environment,
      rehearse: isFull && 'auto',
    })
    await sql.query(foreignKey)
    expect(await dump(admin)).toEqual(before)
  }, 1_200_000)

  it.runIf(isFull)(
    'is so too after its rows were changed, with a table of another schema referring to them (full form)',
    async () => {
      const { admin, sql } = reset.stack
      await sql.query(`DELETE FROM app.of_parts; DELETE FROM app.parts WHERE id % 2 = 0; UPDATE app.lowest SET author = NULL;
      DELETE FROM app.dirty; UPDATE app.books SET sequel = NULL; DELETE FROM app.books WHERE id > 7 AND NOT id IN (SELECT favourite FROM app.authors);
      UPDATE app.every_type SET c10 = 'x' WHERE c10 IS NULL; INSERT INTO app.no_columns DEFAULT VALUES; TRUNCATE app.more_types;
      SELECT nextval('app.down'), nextval('app.fresh'), setval('app.serials_id_seq', 1)`)
      await reset.succeed({ operation: 'restore', backupId, confirm: environment, rehearse: false })
      expect(await dump(admin)).toEqual(before)
    },
  )

  it.runIf(isFull)(
    'is so too after psql alone has put the rows of a download into its tables, whatever a database makes of texts (full form)',
    async ({ skip }) => {
      await run('psql', ['--version']).catch(() => skip('Not installed: psql'))
      const { admin, sql, env } = reset.stack
      await sql.query(noForeignKey)
      const request = { operation: 'reset', strategy: 'database-only', confirm: environment }
      const { backupId } = await reset.succeed(request)
      const { backups: bucket, config } = await currentClients()
      const prefix = config.BACKUP_PREFIX
      const backup = await readBackup(bucket, prefix, backupId ?? '')
      const folder = await mkdtemp(join(tmpdir(), 'by-psql-'))
      onTestFinished(() => rm(folder, { recursive: true, force: true }))
      await download({ bucket, prefix, backup }, { folder, format: 'files', report() {} })
      const url = env.DATABASE_URL ?? ''
      const name = `"${new URL(url).pathname.slice(1)}"`
      for (const [setting, value] of settings)
        await admin.query(`ALTER DATABASE ${name} SET ${setting} = '${value}'`)
      const { stdout, stderr } = await run('psql', ['-X', url, '-f', 'load.sql'], { cwd: folder })
      for (const [setting] of settings) await admin.query(`ALTER DATABASE ${name} RESET ${setting}`)
      const said = stdout.trim().split('\n')
      expect(said.filter((line) => !line.endsWith('|is as backed up'))).toEqual([])
      expect([stderr, said.length]).toEqual(['', backup.database?.tables.length])
      await sql.query(`${foreignKey}; REFRESH MATERIALIZED VIEW app.kept`)
      expect(await dump(admin)).toEqual(before)
    },
  )
})
