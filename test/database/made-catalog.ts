import type { Catalog } from '../../lib/database/catalog/catalog.ts'
import type { ForeignKey } from '../../lib/database/catalog/foreign-keys.ts'
import type { Sequence } from '../../lib/database/catalog/sequences.ts'
import type { Table } from '../../lib/database/catalog/table.ts'

/** A table of a hand-made catalog. `name` is `schema.table`; partitions name their parent. */
export function table(name: string, change: Partial<Table> = {}): Table {
  const dot = name.indexOf('.')
  return {
    name,
    schema: name.slice(0, dot),
    table: name.slice(dot + 1),
    oid: 1,
    partitioned: false,
    parents: [],
    partitions: [],
    columns: [],
    pages: 1,
    bytes: 8192,
    owned: true,
    mayRead: true,
    mayTruncate: true,
    ...change,
  }
}

export function key(from: string, to: string, change: Partial<ForeignKey> = {}): ForeignKey {
  const columns = { columns: ['to'], referenced: ['id'], operators: ['OPERATOR(pg_catalog.=)'] }
  return {
    name: `${from} to ${to}`,
    from,
    to,
    fromSql: from,
    fromOid: 1,
    fromRows: from,
    toRows: to,
    derived: false,
    validated: true,
    onDelete: 'a',
    full: false,
    ...columns,
    ...change,
  }
}

export function sequence(name: string, usedBy: string[], change: Partial<Sequence> = {}): Sequence {
  const { schema, table: own } = table(name)
  return { name, schema, table: own, usedBy, owned: true, mayRead: true, ...change }
}

/** A partitioned table and its partitions, which may be in other schemas. */
export function family(parent: string, leaves: string[]): Table[] {
  return [
    table(parent, { partitioned: true, partitions: leaves }),
    ...leaves.map((leaf) => table(leaf, { parents: [parent] })),
  ]
}

export function catalogWith(parts: Partial<Catalog>): Catalog {
  return {
    serverVersion: '18.4',
    tables: [],
    unmanaged: [],
    outside: [],
    foreignKeys: [],
    sequences: [],
    ...parts,
  }
}
