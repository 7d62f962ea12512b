type Named = { name: string; table: string }

/**
 * The tables that names mean, each with its schema or without: the one that is called so with it, and only where there is none all that are
 * called so in any schema. For the name of a table may look like that of another one with its schema.
 * @see docs/decisions.md#a-name-with-its-schema-goes-first
 */
export function tablesNamed<One extends Named>(tables: readonly One[], names: readonly string[]): Set<One> {
  const exact = new Map(tables.map((table) => [table.name, table]))
  const bare = new Map<string, One[]>()
  for (const one of tables) bare.set(one.table, [...(bare.get(one.table) ?? []), one])
  return new Set(names.flatMap((name) => exact.get(name) ?? bare.get(name) ?? []))
}
