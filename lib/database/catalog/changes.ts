import { isDeepStrictEqual } from 'node:util'
import { BackupIsStale } from '../../errors.ts'
import type { Table } from './table.ts'
import type { Tables } from './tables.ts'

type KnownTable = Pick<Table, 'name' | 'oid' | 'columns'>

/** What a migration did to `tables` since they were read: one sentence for each that is no longer the same. */
export function changesOf({ tables: now }: Pick<Tables, 'tables'>, tables: readonly KnownTable[]): string[] {
  const present = new Map(now.map((table) => [table.name, table]))
  return tables
    .filter(({ name, oid, columns }) => {
      const table = present.get(name)
      return table?.oid !== oid || !isDeepStrictEqual(table.columns, columns)
    })
    .map(({ name }) => alteredSince(name))
}

export function alteredSince(name: string): string {
  return `${name} was dropped, replaced or altered`
}

/** @throws BackupIsStale when there are changes */
export function refuseChanges(changes: readonly string[]): void {
  if (changes.length === 0) return
  const [named, more] = [changes.slice(0, 20).join('; '), changes.length - 20]
  throw new BackupIsStale(
    `Since the run began ${named}${more > 0 ? ` and ${more} more` : ''}. Nothing was wiped; run again when the migration is done`,
  )
}
