import { randomUUID } from 'node:crypto'
import { refuseForeign } from '../../lib/backup/trust.ts'
import { verifyBackup } from '../../lib/backup/verify.ts'
import { rehearseBackup } from '../../lib/database/load-backup.ts'
import { ResetError } from '../../lib/errors.ts'
import type { Answer } from './answer.ts'
import { type Arguments, WrongUsage } from './arguments.ts'
import type { Connected } from './connect.ts'
import { bytes, counted } from './text.ts'

/** Command "verify": reads every object of a backup; with --rehearse it also loads the rows and compares them. */
export async function verify(
  { clients }: Connected,
  backupId: string | undefined,
  flags: Arguments['flags'],
): Promise<Answer> {
  if (backupId === undefined)
    throw new WrongUsage('verify needs the id of a backup; "backups" lists them', 'verify')
  const allowed = { allowForeign: flags['allow-foreign'], allowUnsigned: flags['allow-unsigned'] }
  await refuseForeign(clients, backupId, allowed)
  const found = await verifyBackup(clients.backups, clients.config.BACKUP_PREFIX, backupId, tell)
  const rehearsal = flags.rehearse && found.ok ? await rehearse() : null
  const ok = found.ok && rehearsal?.error == null
  const lines = [
    `${backupId}: ${counted(found.objects, 'object')}, ${bytes(found.bytes)} read. ${ok ? 'All as it was written.' : 'DAMAGED.'}\n`,
    ...(found.authentic === 'signed' || found.authentic === null
      ? []
      : [`  ${found.authentic}: whoever can write to the bucket may have made or changed it\n`]),
    ...found.problems.map(({ key, problem, detail }) => `  ${problem}: ${key}: ${detail}\n`),
    ...found.extra.map(({ key, detail }) => `  extra: ${key}: ${detail}\n`),
    rehearsal === null
      ? ''
      : `  rehearsal: ${rehearsal.error?.message ?? 'every row was loaded and is the one backed up'}\n`,
  ]
  return { document: { ...found, ok, rehearsal }, text: lines.join(''), code: ok ? 0 : 1 }

  async function rehearse() {
    try {
      await rehearseBackup(
        clients,
        { backupId: backupId ?? '', runId: `verify-${randomUUID()}`, ...allowed },
        tell,
      )
      return { error: null }
    } catch (error) {
      if (!(error instanceof ResetError)) throw error
      return { error: { name: error.name, message: error.message } }
    }
  }
}

async function tell(done: number, total: number): Promise<void> {
  if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total}${done === total ? '\n' : ''}`)
}
