// Run by difference-limits.trust.test.ts as a process of its own, like a Lambda: compares the tables with a backup, and tells its peak.
import { readBackup } from '../../lib/backup/read.ts'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import { currentClients } from '../../lib/task.ts'
import { peakMiB } from '../support/peak-memory.ts'

const backupId = process.argv[2] ?? ''
const clients = await currentClients()
const { database } = await readBackup(clients.backups, clients.config.BACKUP_PREFIX, backupId)
if (database === null) throw new Error('The backup holds no database.')
const { tables } = await diffDatabase(clients, database, async () => {})
console.log(JSON.stringify({ peakMiB: peakMiB(), tables }))
