import { expect, it } from 'vitest'
import { exportDatabase } from '../../lib/database/export.ts'
import { compareExported } from '../../lib/database/rehearse.ts'
import { noProgress, planReset, useDatabase } from '../database/database-stack.ts'
import { useBundledChild } from '../support/bundled-child.ts'

const database = useDatabase()
const load = useBundledChild(new URL('./load-child.ts', import.meta.url))

// All of the large rows together are more than the limit.
it('a load stays below 256 MiB, with rows of 20 MB and with many small ones', {
  timeout: 240_000,
}, async () => {
  await database.sql.query(`CREATE TABLE fat (id int, text text); CREATE TABLE thin (id int, text text);
    INSERT INTO fat SELECT g, repeat('0123456789abcdef' || g, 1200000) FROM generate_series(1, 15) g;
    INSERT INTO thin SELECT g, md5(g::text) FROM generate_series(1, 60000) g`)
  const plan = await planReset(database.clients)
  const { backupId } = plan
  await exportDatabase(
    database.clients,
    { plan, backupId: backupId ?? '', batch: 0, schemas: ['public'] },
    noProgress,
  )
  const { peakMiB } = await load([plan.runId])
  await compareExported(database.clients, plan)
  console.log(`Peak memory of a load: ${peakMiB} MiB.`)
  expect(peakMiB).toBeLessThan(256)
})
