import type { Table } from '../../catalog/table.ts'

type Families = {
  /** A table with the partitioned tables above it: what is said of those holds for their partitions. */
  familyOf(table: Table | undefined): Table[]
  /** The tables that hold the rows of one: itself, or its partitions at any depth. */
  leavesBelow(name: string): string[]
}

/** Partitioned tables and their partitions. */
export function families(tables: readonly Table[]): Families {
  const partitioned = new Map(tables.filter((table) => table.partitioned).map((table) => [table.name, table]))
  function familyOf(table: Table | undefined): Table[] {
    if (table === undefined) return []
    const above = table.parents.flatMap((name) => partitioned.get(name) ?? [])
    return [table, ...above.flatMap(familyOf)]
  }
  function leavesBelow(name: string): string[] {
    return partitioned.get(name)?.partitions.flatMap(leavesBelow) ?? [name]
  }
  return { familyOf, leavesBelow }
}
