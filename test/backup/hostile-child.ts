import { listBackups } from '../../lib/backup/list.ts'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { readBackup } from '../../lib/backup/read.ts'
import { readBackupFolders } from '../../lib/backup/retention/folders.ts'
import { makeClients } from '../../lib/clients.ts'
import { peakMiB } from '../support/peak-memory.ts'
import { verifyBackup } from './verify-whole.ts'

/** Reads a backup in every way there is, and tells what was said and how much memory that took, in MiB. */
const [backupId = ''] = process.argv.slice(2)
const clients = await makeClients()
const { BACKUP_PREFIX: prefix } = clients.config
const said: string[] = []

async function attempt(read: () => Promise<unknown>): Promise<void> {
  try {
    await read()
    said.push('read')
  } catch (error) {
    said.push(error instanceof Error ? error.name : String(error))
  }
}

await attempt(() => verifyBackup(clients.backups, prefix, backupId, async () => {}))
await attempt(async () => {
  const { database, cache } = await readBackup(clients.backups, prefix, backupId)
  const parts = [...(database?.tables ?? []).flatMap((table) => table.parts), ...(cache?.parts ?? [])]
  for (const part of parts) {
    if (part.key === null) continue
    for await (const line of readPartLines(clients.backups, part.key, part)) if (line.length === 0) break
  }
})
const { backups } = await listBackups(clients.backups, prefix)
await readBackupFolders(clients, { isNeeded: () => false, labelsOf: () => [], isUnknown: () => false })
clients.backups.s3.destroy()
const listed = backups.map((backup) => backup.backupId)
process.stdout.write(JSON.stringify({ said, listed, megabytes: peakMiB() }))
