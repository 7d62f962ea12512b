import type { Manifest } from '../../backup/manifest.ts'
import type { BackedUpTable, DatabaseSection } from '../../backup/sections/database.ts'
import type { Sealer } from '../../store.ts'
import type { DatabasePlan } from '../schema/plan.ts'
import { type OriginOf, readExported, readRehearsed } from './results.ts'

/**
 * The database's section of the manifest: every shard that was planned is there once, and every table that had many rows
 * has some.
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export const sealDatabase: Sealer<DatabasePlan, NonNullable<Manifest['database']>> = async (
  { backups },
  { run, planned, rehearse },
) => {
  const exported = await readExported(backups, { run, planned })
  const rehearsed = rehearse ? await readRehearsed(backups, run) : null
  const { originOf, sequences } = exported
  const rehearsedAt = rehearsed?.rehearsedAt ?? null
  const requirements = (rehearsed ?? planned.base)?.requirements ?? {}
  const tables = exported.tables.map((table) => withProofs(table, { originOf, rehearsedAt, requirements }))
  return {
    held: {
      serverVersion: planned.serverVersion,
      consistency: planned.batches > 1 ? 'reconciled' : 'snapshot',
      ...(planned.fingerprints.version === 1 ? {} : { seed: planned.fingerprints.seed }),
      rows: tables.reduce((sum, table) => sum + table.rows, 0),
      bytes: tables.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.bytes, 0),
      ...takenOver(tables, originOf, planned.base),
      tables,
      sequences,
      ...(planned.definition === null ? {} : { definition: planned.definition }),
    },
    rehearsedAt: rehearsedAt && oldestProof(tables, rehearsedAt),
    warnings: [...exported.warnings, ...(rehearsed?.warnings ?? [])],
  }
}

/** What is the base's of all parts; nothing is said where none is. */
function takenOver(
  tables: readonly BackedUpTable[],
  originOf: OriginOf,
  base: DatabasePlan['base'],
): Pick<DatabaseSection, 'takenOver'> {
  const taken = tables
    .flatMap(({ name, parts }) => parts.map(({ shard }) => originOf(name, shard)))
    .filter((origin) => origin !== null && origin.rows > 0)
  if (base === null || taken.length === 0) return {}
  const sum = (of: 'rows' | 'bytes') => taken.reduce((total, origin) => total + (origin?.[of] ?? 0), 0)
  const { backupId } = base
  return { takenOver: { backupId, rows: sum('rows'), bytes: sum('bytes'), parts: taken.length } }
}

type Proof = {
  originOf: OriginOf
  rehearsedAt: string | null
  requirements: Readonly<Record<string, string>>
}

/**
 * When each part was proved: now, what was loaded whole; else when what was taken over was. Of a run that loaded nothing
 * what it exported is not proved, and of a composed part that is some of it.
 */
function withProofs(table: BackedUpTable, { originOf, rehearsedAt, requirements }: Proof): BackedUpTable {
  const { [table.name]: provedUnder } = requirements
  const parts = table.parts.map((part) => {
    const origin = originOf(table.name, part.shard)
    const load = origin?.load ?? 'all'
    const before = load === 'nothing' || (load === 'fresh' && rehearsedAt !== null) ? part.provedAt : null
    return { ...part, provedAt: (load === 'all' ? rehearsedAt : before) ?? null }
  })
  return { ...table, parts, ...(provedUnder === undefined ? {} : { provedUnder }) }
}

/** null: a part with rows was never proved. */
function oldestProof(tables: readonly BackedUpTable[], rehearsedAt: string): string | null {
  const times = tables
    .flatMap(({ parts }) => parts)
    .filter(({ rows }) => rows > 0)
    .map(({ provedAt }) => provedAt ?? null)
  if (times.includes(null)) return null
  return times.reduce((oldest: string, time) => (time !== null && time < oldest ? time : oldest), rehearsedAt)
}
