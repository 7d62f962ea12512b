/**
 * SQL: what follows the table's name in the definition of the index `i`, `c` of `pg_index` and `pg_class`, ` USING btree (…)
 * WHERE …`. Postgres writes the table with its schema there, whatever the search path is.
 */
export const indexBody = `substr(pg_get_indexdef(c.oid), length(format('CREATE %sINDEX %I ON %s%s',
  CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname, CASE WHEN c.relkind = 'I' THEN 'ONLY ' END,
  (SELECT format('%I.%I', o.nspname, t.relname) FROM pg_class t JOIN pg_namespace o ON o.oid = t.relnamespace WHERE t.oid = i.indrelid))) + 1)`
