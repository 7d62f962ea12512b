import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'
import { heldTypesOf, readAskingTables } from './row-expressions.ts'

type Asked = { oid: number; name: string }

const ofExtension = (classOf: string, oid: string) =>
  `EXISTS (SELECT FROM pg_depend x WHERE x.classid = ${literal(classOf)}::regclass AND x.objid = ${oid} AND x.deptype = 'e')`

/**
 * Whether functions of the application say what a type or an index takes for a value, or for equal. Else they judge no row of a
 * table of which that can be told, and whatever a deployment makes of them is nothing to the rows.
 */
const hasOwnTypes = `EXISTS (SELECT FROM pg_opclass o WHERE o.oid >= 16384 AND NOT ${ofExtension('pg_opclass', 'o.oid')})
  OR EXISTS (SELECT FROM pg_cast k WHERE k.oid >= 16384 AND NOT ${ofExtension('pg_cast', 'k.oid')})
  OR EXISTS (SELECT FROM pg_type t WHERE t.oid >= 16384 AND t.typtype = 'b' AND t.typelem = 0 AND NOT ${ofExtension('pg_type', 't.oid')})
  OR EXISTS (SELECT FROM pg_range r WHERE r.rngtypid >= 16384 AND NOT ${ofExtension('pg_type', 'r.rngtypid')})`

/** What could refuse or change a row of any table: the server, its collations (one with a version tells of all), text search, and how types are read. */
const ofAll = `
  SELECT current_setting('server_version') AS said
  UNION ALL SELECT concat_ws(' ', 'extension', extname, extversion) FROM pg_extension
  UNION ALL SELECT concat_ws(' ', 'function', n.nspname, pg_get_functiondef(p.oid)) FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND p.prokind IN ('f', 'w') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
      AND n.nspname NOT LIKE 'pg\\_%' AND NOT ${ofExtension('pg_proc', 'p.oid')} AND (${hasOwnTypes})
  UNION ALL SELECT concat_ws(' ', 'collations', collprovider, pg_collation_actual_version(max(oid))) FROM pg_collation
    WHERE collprovider IN ('c', 'i') AND collversion IS NOT NULL GROUP BY collprovider
  UNION ALL SELECT concat_ws(' ', 'cast', castsource::regtype, casttarget::regtype, castcontext, castfunc::regprocedure)
    FROM pg_cast WHERE oid >= 16384
  UNION ALL SELECT concat_ws(' ', 'dictionary', oid, dictname, dicttemplate, dictinitoption) FROM pg_ts_dict
  UNION ALL SELECT concat_ws(' ', 'text search', mapcfg, maptokentype, mapseqno, mapdict) FROM pg_ts_config_map`

/** What one table asks. Names of constraints say nothing; indexes that refuse nothing are left out. */
const ofTable = `
  SELECT concat_ws(' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, a.attnotnull, a.attgenerated,
    pg_get_expr(d.adbin, d.adrelid)) AS said
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
    WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT concat_ws(' ', 'constraint', pg_get_constraintdef(k.oid), k.convalidated) FROM pg_constraint k WHERE k.conrelid = t.oid
  UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = t.oid AND i.indisready
    AND (i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
  UNION ALL SELECT concat_ws(' ', 'partition', up.relid::regclass, pg_get_partkeydef(up.relid), pg_get_expr(c.relpartbound, c.oid))
    FROM pg_partition_ancestors(t.oid) AS up(relid) JOIN pg_class c ON c.oid = up.relid`

/** The types that tables hold, as CTEs: `of_types (oid, said)`. */
const ofTypes = `${heldTypesOf('$1::oid[]')}, described AS MATERIALIZED (
  SELECT y.oid AS type, concat_ws(' ', 'type', n.nspname, y.typname, y.typtype, y.typnotnull, format_type(y.typbasetype, y.typtypmod),
      (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = y.oid),
      (SELECT string_agg(concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated), ',' ORDER BY k.oid) FROM pg_constraint k WHERE k.contypid = y.oid),
      (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod)), ',' ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped)) AS said
    FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace
    WHERE y.oid IN (SELECT type FROM held) AND y.oid >= 16384 AND NOT ${ofExtension('pg_type', 'y.oid')}),
  of_types AS MATERIALIZED (
    SELECT h.oid, string_agg(d.said, E'\\n' ORDER BY d.said COLLATE "C") AS said FROM held h JOIN described d ON d.type = h.type GROUP BY h.oid)`

const digestOf = (selects: string) =>
  `encode(sha256(convert_to((SELECT coalesce(string_agg(said, E'\\n' ORDER BY said COLLATE "C"), '') FROM (${selects}) AS all_said), 'UTF8')), 'hex')`

/**
 * What these tables ask of a row, as a digest: rows that were loaded, and met it, need not be asked again while it is the
 * same. By name; a table is missing of which that cannot be told: functions of the application, or the time, judge its rows, or Postgres
 * does not keep what it is asked to keep (an index that is not valid, a foreign key of which the triggers are switched off).
 * To be called under the pinned search path.
 * @see docs/decisions.md#every-part-is-loaded-within-some-days
 */
export async function readRequirements(
  connection: Connection,
  tables: readonly Asked[],
): Promise<Map<string, string>> {
  const oids = tables.map(({ oid }) => oid)
  const asking = await readAskingTables(connection, tables)
  const found = await connection.query(
    `WITH RECURSIVE ${ofTypes}
     SELECT t.oid::bigint::float8 AS oid, encode(sha256(convert_to(concat(every.digest, ${digestOf(ofTable)}, y.said), 'UTF8')), 'hex') AS digest
     FROM unnest($1::oid[]) AS t(oid) CROSS JOIN (SELECT ${digestOf(ofAll)} AS digest) AS every LEFT JOIN of_types y ON y.oid = t.oid
     WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisready AND NOT i.indisvalid AND (i.indisunique OR i.indisexclusion))
       AND NOT EXISTS (SELECT FROM pg_trigger g JOIN pg_constraint k ON k.oid = g.tgconstraint
         WHERE g.tgrelid = t.oid AND g.tgisinternal AND k.contype = 'f' AND g.tgenabled IN ('D', 'R'))`,
    [oids],
  )
  const digests = new Map<number, string>(found.rows.map(({ oid, digest }) => [oid, digest]))
  return new Map(
    tables.flatMap(({ oid, name }) => {
      const digest = asking.has(oid) ? undefined : digests.get(oid)
      return digest === undefined ? [] : [[name, digest]]
    }),
  )
}
