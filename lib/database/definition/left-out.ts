import { definitionLimits } from '../../backup/sections/definition.ts'
import type { Connection } from '../../postgres/connection.ts'
import { isMadeHere } from './types.ts'

/** So many names of a kind are told at most, and no more than have room in a line, with how many there are besides. */
const shown = 20
const room = definitionLimits.line - 24

const leftOutQuery = `
WITH relations AS (SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY($1::oid[])),
managed AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY($2::text[]))
SELECT kind, json_agg(name ORDER BY name) AS names FROM (
  SELECT DISTINCT 1 AS part, 'extensions' AS kind, e.extname::text AS name FROM pg_extension e WHERE e.extname <> 'plpgsql'
  UNION SELECT 2, 'functions', format('%I.%I', m.nspname, p.proname) FROM pg_proc p JOIN managed m ON m.oid = p.pronamespace WHERE ${isMadeHere('pg_proc', 'p.oid', 'm.nspname')}
    AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')
  UNION SELECT 3, 'triggers', format('%I of %I.%I', t.tgname, r.nspname, r.relname) FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
  UNION SELECT 4, 'rules', format('%I of %I.%I', w.rulename, r.nspname, r.relname) FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class
  UNION SELECT 5, CASE c.relkind WHEN 'v' THEN 'views' WHEN 'm' THEN 'materialized views' ELSE 'foreign tables' END, format('%I.%I', m.nspname, c.relname)
    FROM pg_class c JOIN managed m ON m.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'f') AND ${isMadeHere('pg_class', 'c.oid', 'm.nspname')}
  UNION SELECT 6, 'row security', format('%I.%I', r.nspname, r.relname) FROM relations r
    WHERE r.relrowsecurity OR r.relforcerowsecurity OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = r.oid)
  UNION SELECT 7, 'grants', format('%I.%I', r.nspname, r.relname) FROM relations r
    WHERE r.relacl IS NOT NULL OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL)
  UNION SELECT 8, 'statistics', format('%I of %I.%I', s.stxname, r.nspname, r.relname) FROM pg_statistic_ext s JOIN relations r ON r.oid = s.stxrelid
  UNION SELECT 9, 'settings', format('%I.%I', r.nspname, r.relname) FROM relations r
    WHERE r.reloptions IS NOT NULL OR r.relreplident NOT IN ('d', 'n') OR r.reltablespace <> 0 OR r.reloftype <> 0
      OR EXISTS (SELECT FROM pg_class o WHERE o.oid = r.reltoastrelid AND o.reloptions IS NOT NULL)
      OR EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisclustered)
      OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = r.oid AND a.attnum > 0
        AND (a.attstorage <> y.typstorage OR a.attcompression <> '' OR a.attoptions IS NOT NULL OR coalesce(a.attstattarget, -1) <> -1))
  UNION SELECT 10, 'what is above', format('%I.%I', r.nspname, r.relname) FROM relations r JOIN pg_inherits i ON i.inhrelid = r.oid WHERE i.inhparent <> ALL($1::oid[])
  UNION SELECT 11, 'indexes that are not valid', format('%I.%I', r.nspname, i.relname) FROM relations r JOIN pg_index x ON x.indrelid = r.oid AND NOT x.indisvalid AND r.relkind = 'r'
    JOIN pg_class i ON i.oid = x.indexrelid
  UNION SELECT 12, 'collations', format('%I.%I', m.nspname, k.collname) FROM pg_collation k JOIN managed m ON m.oid = k.collnamespace
    WHERE ${isMadeHere('pg_collation', 'k.oid', 'm.nspname')}
  UNION SELECT 13, 'operators', format('%I.%s', m.nspname, o.oprname) FROM pg_operator o JOIN managed m ON m.oid = o.oprnamespace
    WHERE ${isMadeHere('pg_operator', 'o.oid', 'm.nspname')}
  UNION SELECT 14, 'owners', format('%s of %I.%I', r.relowner::regrole, r.nspname, r.relname) FROM relations r WHERE r.relowner <> quote_ident(current_user)::regrole
  UNION SELECT 15, 'publications', quote_ident(p.pubname) FROM pg_publication_tables p JOIN relations r ON r.nspname = p.schemaname AND r.relname = p.tablename
  UNION SELECT 16, 'event triggers', quote_ident(t.evtname) FROM pg_event_trigger t WHERE ${isMadeHere('pg_event_trigger', 't.oid', "''")}
) AS l GROUP BY part, kind ORDER BY part, kind`

/** What the definition does not say of the tables and of what lies beside them, by kinds. */
export async function readLeftOut(
  connection: Connection,
  tables: readonly number[],
  schemas: readonly string[],
): Promise<string[]> {
  const { rows } = await connection.query(leftOutQuery, [tables, schemas])
  return rows.flatMap(({ kind, names }) => leftOut(kind, names))
}

/** One line of what is left out; none where nothing is. */
export function leftOut(kind: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  const line = (told: number) => `${kind}: ${names.slice(0, told).join(', ')}`
  let told = Math.min(shown, names.length)
  while (told > 1 && line(told).length > room) told--
  return [`${line(told)}${names.length > told ? ` and ${names.length - told} more` : ''}`]
}
