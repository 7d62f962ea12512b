import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Config } from '../../config/variables.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Planning } from '../../store.ts'
import { bytesUnproved } from '../base/share.ts'
import { checkLockedTime } from '../locks/duration.ts'
import { bytesOf, type Shard } from '../parts/shards.ts'
import type { TableActions } from './actions/table-actions.ts'
import { checkLocks, lockedWorks } from './lock-checks.ts'
import { checkManifestSize } from './manifest-size.ts'
import { checkRoom, readRoom } from './room.ts'
import { checkReading } from './single-works.ts'

/** Whether a backup of so many bytes is loaded and compared before it is sealed. */
export function isRehearsed(
  bytes: number,
  { rehearse }: Pick<Planning, 'rehearse'>,
  config: Config,
): boolean {
  return rehearse === 'auto' ? bytes < config.REHEARSE_MAX_BYTES : rehearse !== false
}

/**
 * What is too much for one transaction or one invocation is said before anything is counted, which takes its time then.
 * @throws LimitExceeded
 */
export async function checkExtent(
  connection: Connection,
  config: Config,
  asked: Planning & {
    toLoad: Backup | null
    chosen: TableActions
    bytes: number
    batches: Shard[][]
    held: ReadonlyMap<string, BackedUpTable>
  },
): Promise<Warning[]> {
  const { takesBackup, toLoad, bytes, batches } = asked
  const rehearses = takesBackup && isRehearsed(bytes, asked, config)
  const locks = await checkLocks(connection, { ...asked, rehearses })
  if (takesBackup) checkManifestSize(asked.chosen, batches.flat(), config.BACKUP_PREFIX)
  const exported = takesBackup ? batches.map(bytesOf) : []
  // A dry run has no base, and the run that it stands for may have one.
  const unproved =
    asked.dryRun && asked.takeOver
      ? 0
      : bytesUnproved(
          asked.chosen.tables.map(({ table }) => table),
          asked.held,
        )
  const loaded = rehearses ? { most: bytes, least: unproved } : { most: 0, least: 0 }
  const works = lockedWorks({ ...asked, backedUp: toLoad?.database?.tables ?? [] })
  return [
    ...locks,
    ...(await checkReading(connection, { bytes, exported, loaded })),
    ...(await checkLockedTime(connection, config, works)),
    ...(toLoad?.database ? checkRoom(toLoad.database.tables, await readRoom(connection)) : []),
  ]
}
