import type pg from 'pg'

/**
 * What a database holds, past the product and as superuser: every row as Postgres writes it, where each sequence stands,
 * and the state of everything that a restore has to switch off or take away for a while.
 */
export async function dump(admin: pg.Client): Promise<Record<string, unknown>> {
  // Functions of indexes, into which the planner looks, may find others by it.
  await admin.query(`SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET search_path = pg_catalog, public`)
  const own = `n.nspname !~ '^(pg_|information_schema$|taskmaster_)'`
  const relations = await admin.query(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (c.relkind IN ('r', 'S') OR (c.relkind = 'm' AND c.relispopulated)) AND ${own} ORDER BY 1`,
  )
  const found: Record<string, unknown> = {}
  for (const { name } of relations.rows) found[name] = []
  for (let start = 0; start < relations.rows.length; start += 50) {
    const selects = relations.rows.slice(start, start + 50).map(({ name, kind }) => {
      const line =
        kind === 'S'
          ? `t.last_value || ' ' || t.is_called`
          : `CASE WHEN length(t::text) > 2000 THEN length(t::text) || ' ' || md5(t::text) ELSE t::text END`
      return `SELECT '${name.replaceAll("'", "''")}' AS name, ${line} AS line FROM ${kind === 'S' ? '' : 'ONLY '}${name} AS t`
    })
    const answer = await admin.query(`${selects.join(' UNION ALL ')} ORDER BY 1, 2`)
    for (const { name, line } of answer.rows) (found[name] as string[]).push(line)
  }
  await admin.query('SET search_path = pg_catalog')
  found.constraints = await lines(
    admin,
    `SELECT concat_ws(' ', k.conrelid::regclass, CASE WHEN k.conparentid = 0 THEN k.conname END, pg_get_constraintdef(k.oid), k.convalidated,
       k.condeferrable, k.condeferred, obj_description(k.oid, 'pg_constraint')) AS line
     FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE ${own}`,
  )
  found.triggers = await lines(
    admin,
    `SELECT concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger')) AS line
     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${own} AND NOT t.tgisinternal`,
  )
  found.systemTriggers = await lines(
    admin,
    `SELECT concat_ws(' ', t.tgrelid::regclass, t.tgfoid::regproc, t.tgenabled) AS line
     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${own} AND t.tgisinternal`,
  )
  found.rules = await lines(
    admin,
    `SELECT concat_ws(' ', pg_get_ruledef(r.oid), r.ev_enabled) AS line
     FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${own}`,
  )
  found.columns = await lines(
    admin,
    `SELECT concat_ws(' ', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
       a.attgenerated, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)) AS line
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE a.attnum > 0 AND c.relkind IN ('r', 'p') AND ${own}`,
  )
  found.tables = await lines(
    admin,
    `SELECT concat_ws(' ', c.oid, c.oid::regclass, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relpersistence, c.relispopulated,
       obj_description(c.oid, 'pg_class'), CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END) AS line
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S', 'i', 'I', 'm') AND ${own}`,
  )
  found.scratch = await lines(
    admin,
    `SELECT nspname AS line FROM pg_namespace WHERE nspname LIKE 'taskmaster\\_scratch%'`,
  )
  return found
}

async function lines(admin: pg.Client, query: string): Promise<string[]> {
  const answer = await admin.query(query)
  return answer.rows.map(({ line }) => line).sort()
}
