import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exportDatabase } from '../../lib/database/export.ts'
import { compareExported } from '../../lib/database/rehearse.ts'
import { noProgress, planReset, useDatabase } from '../database/database-stack.ts'

const database = useDatabase()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'taskmaster-memory-'))
  // Bundled as for Lambda: without, Node's own compiler for TypeScript takes more memory than the load.
  await build({
    entryPoints: [fileURLToPath(new URL('./load-child.ts', import.meta.url))],
    outfile: join(folder, 'load-child.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    banner: {
      js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
    },
  })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a load stays below 256 MiB, with rows of 20 MB and with many small ones', {
  timeout: 240_000,
}, async () => {
  await database.sql.query(`CREATE TABLE fat (id int, text text); CREATE TABLE thin (id int, text text);
    INSERT INTO fat SELECT g, repeat('0123456789abcdef' || g, 1200000) FROM generate_series(1, 4) g;
    INSERT INTO thin SELECT g, md5(g::text) FROM generate_series(1, 60000) g`)
  const plan = await planReset(database.clients)
  const { backupId } = plan
  await exportDatabase(
    database.clients,
    { run: plan, backupId: backupId ?? '', batch: 0, schemas: ['public'] },
    noProgress,
  )
  const child = await promisify(execFile)(process.execPath, [join(folder, 'load-child.mjs'), plan.runId], {
    env: { ...process.env, LOG_LEVEL: 'SILENT' },
  })
  await compareExported(database.clients, plan)
  const { peakMiB } = JSON.parse(child.stdout)
  console.log(`Peak memory of a load: ${peakMiB} MiB.`)
  expect(peakMiB).toBeLessThan(256)
})
