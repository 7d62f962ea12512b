import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'
import { addFingerprints } from '../../backup/sections/fingerprint.ts'
import type { OriginOf } from '../export/results.ts'

/** What of a backup was loaded into a scratch schema, and what is known of the rest. */
export type Loaded = {
  /** The tables of which something was loaded, with the rows, the fingerprint and the parts of that alone. */
  tables: BackedUpTable[]
  /** The names of those of which every row was. */
  whole: ReadonlySet<string>
  /** The names of those that hold the rows of which another run has asked what they ask of each other. */
  known: ReadonlySet<string>
}

/** All of it. */
export function wholeOf(tables: readonly BackedUpTable[]): Loaded {
  return { tables: [...tables], whole: new Set(tables.map(({ name }) => name)), known: new Set() }
}

/**
 * What a rehearsal loads of what its run exported or took over.
 * @param askedTogether fingerprints of tables, as the plan has them
 */
export function loadedOf(
  tables: readonly BackedUpTable[],
  originOf: OriginOf,
  askedTogether: Readonly<Record<string, string>>,
): Loaded {
  const all = tables.map((table) => {
    const parts = table.parts.map((part) => {
      const origin = originOf(table.name, part.shard)
      return { load: origin?.load ?? 'all', part, origin }
    })
    return { table, parts }
  })
  const namesOf = (some: readonly Pick<BackedUpTable, 'name'>[]) => new Set(some.map(({ name }) => name))
  return {
    tables: all.flatMap(({ table, parts }) => {
      const loaded = parts.flatMap(({ load, part, origin }): TablePart[] => {
        if (load === 'nothing') return []
        if (load === 'all' || origin === null) return [part]
        return [{ ...part, rows: part.rows - origin.rows, fingerprint: origin.freshFingerprint }]
      })
      if (loaded.length === 0) return []
      const rows = loaded.reduce((sum, part) => sum + part.rows, 0)
      const fingerprint = addFingerprints(loaded.map((part) => part.fingerprint))
      return [{ ...table, rows, fingerprint, parts: loaded }]
    }),
    whole: namesOf(
      all
        .filter(({ parts }) => parts.every(({ load, part }) => load === 'all' || part.key === null))
        .filter(({ parts }) => parts.some(({ load }) => load === 'all'))
        .map(({ table }) => table),
    ),
    known: namesOf(tables.filter(({ name, fingerprint }) => askedTogether[name] === fingerprint)),
  }
}
