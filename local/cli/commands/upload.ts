import { resolve } from 'node:path'
import { counted, utc } from '../../../lib/amounts.ts'
import { BackupIncomplete } from '../../../lib/errors.ts'
import { visibleName } from '../../../lib/visible.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { requester } from '../request.ts'
import { upload } from '../upload/upload.ts'

/** npm passes Ctrl-C on, so that it comes twice: only what comes later than this is a second, impatient one. */
const twiceWithinMs = 1000

/** Command "upload": the folder of a download as a backup again. Ctrl-C ends it between two objects; a second one at once. */
export async function uploadBackup({ clients }: Connected, { argument }: Arguments): Promise<Answer> {
  if (argument === undefined) throw new WrongUsage('upload needs the folder that a download made', 'upload')
  const folder = resolve(argument)
  const interrupt = new AbortController()
  let first: number | undefined
  const onInterrupt = () => {
    first ??= performance.now()
    if (performance.now() - first > twiceWithinMs) process.exit(130)
    interrupt.abort(
      new BackupIncomplete('The upload was interrupted, so there is no backup of it. Upload again'),
    )
  }
  process.on('SIGINT', onInterrupt)
  try {
    const asked = { folder, by: requester(), report, signal: interrupt.signal }
    const { backupId, imported, rehearsedAt, warnings, database, files, cache } = await upload(clients, asked)
    const [rows, tables] = [database?.rows ?? 0, database?.tables.length ?? 0]
    const held = { tables, rows, files: files?.objects ?? 0, keys: cache?.keys ?? 0 }
    const told = [
      `${counted(rows, 'row')} of ${counted(tables, 'table')}`,
      counted(held.files, 'file'),
      counted(held.keys, 'key'),
    ]
    const proof = rehearsedAt === null ? 'read back' : `read back, loaded and compared ${utc(rehearsedAt)}`
    const warned = warnings.map(({ code, message }) => `Warning ${code}: ${message}.\n`).join('')
    return {
      document: { backupId, imported, rehearsedAt, ...held, warnings },
      text: `${backupId} is a backup of what ${folder} holds of ${imported?.from}: ${told.join(', ')}; ${proof}. It is marked as imported, and never "latest".\n${warned}`,
      code: 0,
    }
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

function report(text: string): void {
  process.stderr.write(`${visibleName(text)}\n`)
}
