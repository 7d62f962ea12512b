import { afterAll, beforeAll, expect, test } from 'vitest'
import { verifyBackup } from '../../lib/backup/verify.ts'
import { memoryS3 } from './memory-s3.ts'
import { type Backups, fill, prefix, startBackups } from './real-backups.ts'

let backups: Backups
beforeAll(async () => {
  backups = await startBackups()
})
afterAll(() => backups?.stop())
test('x', async () => {
  await fill(backups, 'other')
  await backups.run({ operation: 'claim', confirm: 'local' })
  const o = await backups.run({ operation: 'backup' })
  await fill(backups, 'main')
  backups.onBeforeWipe(async () => {
    await backups.sql.query(`insert into users(name) values ('late'); delete from worlds where id = 3`)
  })
  const m = await backups.run({ operation: 'reset', strategy: 'full', confirm: 'local' })
  const objects = await backups.read(prefix)
  console.log([...objects].map(([k, b]) => `${k} ${b.length}`).join('\n'))
  console.log(
    objects.get(`${prefix}${m.backupId}/manifest.json`)!.toString(),
    objects.get(`${prefix}${m.backupId}/late-1.json`)!.toString(),
  )
  const memory = memoryS3()
  memory.objects = objects
  const real = { s3: backups.s3, bucket: backups.bucket }
  for (const storage of [real, memory.storage])
    for (const id of [o.backupId, m.backupId]) {
      console.dir(await verifyBackup(storage, prefix, id!, async (d, t) => console.log(d, t)), { depth: 6 })
    }
  const t = performance.now()
  for (let i = 0; i < 300; i++) await verifyBackup(memory.storage, prefix, m.backupId!, async () => {})
  console.log((performance.now() - t) / 300, 'ms each')
})
