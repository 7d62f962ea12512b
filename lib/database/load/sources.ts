import type { Seen } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import type { TableDefinition } from '../../backup/sections/database.ts'
import { fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import { NotFound, SchemaChanged } from '../../errors.ts'
import { alteredSince, changesOf, refuseChanges } from '../catalog/changes.ts'
import { checkTables } from '../catalog/schema-differences.ts'
import type { Tables } from '../catalog/tables.ts'
import { readExported, readExportedParts } from '../export/results.ts'
import { type LoadablePart, loadBatches } from '../parts/load-batches.ts'
import { leaveOut } from '../plan/exclusions.ts'
import type { FingerprintedTables } from '../row-differences.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { type Loaded, loadedOf, wholeOf } from './loaded.ts'

/** The version of the server that wrote a backup; null: it is what this run exported. */
type Written = { wroteBy: string | null }

type SourceTables = FingerprintedTables &
  Written & {
    loaded: Loaded
    /** What tables asked of their rows, as a digest, when it was decided that rows need not be loaded. */
    requirements: Readonly<Record<string, string>>
    /** The version of the server that has loaded these very parts before, and found them equal; null: none has. */
    provedBy: string | null
  }

/** Where the parts come from that are loaded into a run's scratch schema. */
export type Source = {
  /** What one batch loads, which reads no other batch. @throws NotFound when there is no such batch, BackupIncomplete */
  partsOf(batch: number): Promise<{ parts: LoadablePart[] } & Written>
  /** The tables with all of their parts, and how their fingerprints were made. */
  tables(): Promise<SourceTables>
  /** Throws when the live tables are not those of the parts. */
  check(tables: readonly TableDefinition[], live: Tables): void
  /** Throws when there are tables that were migrated, and back, while they were loaded. */
  refuseMigrated(names: readonly string[]): void
  /** The live tables hold what was backed up, so the application's functions, which may read them, can be asked. */
  isCurrent: boolean
}

/** What the run itself exported, before it is sealed: a table that was altered since makes that stale. */
export function exportedParts({ backups }: Pick<Clients, 'backups'>, exported: PlannedDatabase): Source {
  return {
    partsOf: async (batch) => ({ parts: await readExportedParts(backups, exported, batch), wroteBy: null }),
    async tables() {
      const { tables, originOf } = await readExported(backups, exported)
      const { fingerprints, base } = exported.planned
      const { requirements = {}, askedTogether = {} } = base ?? {}
      const loaded = loadedOf(tables, originOf, askedTogether)
      return { tables, loaded, requirements, fingerprints, provedBy: null, wroteBy: null }
    },
    check: (tables, live) => refuseChanges(changesOf(live, tables)),
    refuseMigrated: (names) => refuseChanges(names.map(alteredSince)),
    isCurrent: true,
  }
}

/** Which backup a run loads, as Count read it, and what of it is left out. */
export type LoadedBackup = { backupId: string; seen: Seen; without?: readonly string[] }

/** A sealed backup, of which the live tables only have to be able to take the rows. */
export function backupParts(clients: Pick<Clients, 'backups' | 'config'>, loaded: LoadedBackup): Source {
  const read = () => readRestored(clients, loaded)
  return {
    async partsOf(batch) {
      const { database } = await read()
      const parts = loadBatches(database?.tables ?? [])[batch]
      if (parts === undefined) throw new NotFound(`The backup has no batch ${batch} to load`)
      return { parts, wroteBy: database?.serverVersion ?? null }
    },
    async tables() {
      const { database, rehearsedAt, late } = await read()
      const isProved = rehearsedAt !== null && late === null // what a wipe adds is loaded by nobody
      const tables = database?.tables ?? []
      const wroteBy = database?.serverVersion ?? null
      return {
        tables,
        loaded: wholeOf(tables),
        requirements: {},
        fingerprints: fingerprintFormatOf(database ?? {}),
        provedBy: isProved ? wroteBy : null,
        wroteBy,
      }
    },
    check: checkTables,
    refuseMigrated,
    isCurrent: false,
  }
}

function refuseMigrated(names: readonly string[]): void {
  if (names.length === 0) return
  const [told, more] = [names.slice(0, 20).join(', '), names.length - 20]
  throw new SchemaChanged(
    `While the backup was loaded, ${told}${more > 0 ? ` and ${more} more` : ''} ${names.length === 1 ? 'was' : 'were'} migrated to other types, and back. Nothing was touched; start again when no migration runs`,
  )
}

/** The backup, without what is left out of it. @throws NotFound, BackupDamaged, InvalidRequest */
export async function readRestored(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  { backupId, seen, without = [] }: LoadedBackup,
): Promise<Backup> {
  return leaveOut(await readBackup(backups, config.BACKUP_PREFIX, backupId, seen), without)
}
