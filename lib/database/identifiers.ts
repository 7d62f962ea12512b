/** An identifier as SQL writes it, whatever characters or reserved words it holds. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** A schema-qualified name as SQL writes it. */
export function qualified(relation: { schema: string; table: string }): string {
  return `${quote(relation.schema)}.${quote(relation.table)}`
}

/** A text as an SQL literal; for places where a parameter cannot stand. */
export function literal(text: string): string {
  return text.includes('\\')
    ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}
