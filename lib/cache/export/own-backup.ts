import { findLate, findOwnManifest } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { KeyDigests } from '../key-digests.ts'
import { digestsOf } from './backup-digests.ts'
import { LateKeys } from './late-keys.ts'

/**
 * What the backup that a run sealed itself holds of the cache, and what adds to it.
 * @param nameOf the name under which a key stands in the backup
 * @throws BackupIncomplete when there is none, or it was made without the cache; BackupDamaged when the run did not sign it
 */
export async function openOwnBackup(
  tools: Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>,
  {
    run: { runId },
    fence,
    backupId,
    nameOf = (key) => key,
  }: { run: { runId: string }; fence: Fence; backupId: string; nameOf?: (key: Buffer) => Buffer },
): Promise<{ digests: KeyDigests; late: LateKeys }> {
  const { backups, config } = tools
  const manifest = await findOwnManifest(backups, config.BACKUP_PREFIX, { backupId, runId })
  if (manifest === null || manifest.cache === null) {
    throw new BackupIncomplete(
      `The backup ${backupId} ${manifest === null ? 'is not sealed' : 'was made without the cache'}, so it does not cover what this step removes. No key was changed; start a new run`,
    )
  }
  const known = await fence.lateOf(backupId)
  const late = await findLate(backups, config.BACKUP_PREFIX, manifest, known)
  // From here on the ledger knows, and a late file that an invocation before this one writes does not count.
  if (known === undefined && late === null) await fence.replaceLate(null, known)
  const digests = await digestsOf(tools, [...manifest.cache.parts, ...(late?.cache?.parts ?? [])])
  return { digests, late: await LateKeys.of(tools, { manifest, fence, digests, nameOf }) }
}
