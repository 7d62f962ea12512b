/** An identifier as SQL writes it, whatever characters or reserved words it holds. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** A table, or another relation, by its names as the catalog has them. */
export type Relation = { schema: string; table: string }

/** A schema-qualified name as SQL writes it. */
export function qualified({ schema, table }: Relation): string {
  return `${quote(schema)}.${quote(table)}`
}

/**
 * SQL for a relation's name as people write it, `schema.table` without quotes; `schema` and `table` are SQL as well. A
 * schema that has a dot or a quote in its name is quoted, else two relations could share one name.
 */
export function plainName(schema: string, table: string): string {
  return `CASE WHEN ${schema} ~ '[."]' THEN quote_ident(${schema}) ELSE ${schema} END || '.' || ${table}`
}

/** A text as an SQL literal; for places where a parameter cannot stand. */
export function literal(text: string): string {
  return text.includes('\\')
    ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}
