import { counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { literal, quote } from '../../postgres/identifiers.ts'
import { queryUnderOwnPath } from '../../postgres/search-path.ts'
import { inSavepoint } from '../savepoint.ts'
import { countBrokenCheck } from './broken-checks.ts'
import { countBrokenKey } from './broken-keys.ts'
import { dropDomainConstraints } from './domains.ts'
import type { PostDataConstraint } from './post-data.ts'

export type AlteredTable = { schema: string; table: string; oid: number }

type ConstraintRow = {
  oid: number
  kind: 'c' | 'f' | 'n'
  schema: string
  table: string
  sql: string
  name: string
  definition: string
  comment: string | null
  validated: boolean
  enforced: boolean
  /** Declared by the table, and inherited as well: it goes after its parent's. */
  merged: boolean
  /** Only inherited: it goes and comes with its parent's. */
  inherited: boolean
  parentValidated: boolean
  partitioned: boolean
  /** Its rows are those of the backup afterwards. */
  replaced: boolean
  mayBeNotValid: boolean
}

/**
 * Drops what could refuse rows while tables are filled, or looks at tables that are not filled yet: checks, NOT NULL that is
 * NOT VALID, foreign keys from or to one of the tables (also those of tables that stay), and constraints of domains. Unique
 * and exclusion constraints stay: Postgres has no NOT VALID for them, and they look at their own table alone.
 * @param unchanged tables that hold what the backup does, as those do that are filled
 * @see docs/decisions.md#a-restore-takes-what-was-there
 */
export async function dropConstraints(
  connection: Connection,
  tables: readonly AlteredTable[],
  unchanged: readonly AlteredTable[] = [],
): Promise<PostDataConstraint[]> {
  const held = new Set(unchanged.map(({ oid }) => oid))
  const all = await readConstraints(connection, tables)
  const found = all.map((one) => ({ ...one, replaced: one.replaced || held.has(one.oid) }))
  const drops = found
    .filter(({ inherited }) => !inherited)
    .map(({ sql, name }) => `ALTER TABLE ${sql} DROP CONSTRAINT ${quote(name)}`)
  if (drops.length > 0) await connection.query(drops.join(';\n'))
  const domains = await dropDomainConstraints(connection, tables)
  return [...domains, ...found.map(toPostData)]
}

/**
 * What a restore does to constraints, as statements per table that try the right to do it: each is dropped and added
 * again, without looking at a row.
 */
export async function constraintChanges(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<Map<number, string[]>> {
  const found = (await readConstraints(connection, tables)).filter(
    ({ merged, inherited }) => !merged && !inherited,
  )
  const changes = found.map((one) => ({
    oid: one.oid,
    statements: [`ALTER TABLE ${one.sql} DROP CONSTRAINT ${quote(one.name)}`, ...toPostData(one).add],
  }))
  const known = new Set(tables.map(({ oid }) => oid))
  const byTable = new Map<number, string[]>()
  for (const { oid, statements } of changes) {
    // A key of a table that is not replaced is tried with the first that is.
    const table = known.has(oid) ? oid : (tables[0]?.oid ?? oid)
    byTable.set(table, [...(byTable.get(table) ?? []), ...statements])
  }
  return byTable
}

function toPostData(found: ConstraintRow): PostDataConstraint {
  const { kind, sql, name, definition, comment } = found
  const isKey = kind === 'f'
  const isValidated = found.validated && found.enforced
  const atOnce = isKey && found.partitioned && !found.mayBeNotValid
  const isAlone = !found.inherited || !found.parentValidated
  const label = `${isKey ? 'foreign key' : 'check'} ${name} of ${found.schema}.${found.table}`
  const add = `ALTER TABLE ${sql} ADD CONSTRAINT ${quote(name)} ${definition}`
  const text =
    comment === null ? [] : [`COMMENT ON CONSTRAINT ${quote(name)} ON ${sql} IS ${literal(comment)}`]
  return {
    add: atOnce || found.inherited ? [] : [isValidated ? `${add} NOT VALID` : add, ...text],
    isAlone,
    validate: atOnce
      ? [add, ...text].join(';\n')
      : isValidated
        ? `ALTER TABLE ${sql} VALIDATE CONSTRAINT ${quote(name)}`
        : null,
    name: label,
    broken: (connection) => (isKey ? countBrokenKey : countBrokenCheck)(connection, sql, name),
    refusal: atOnce
      ? 'a key of a partitioned table cannot be NOT VALID before PostgreSQL 18'
      : isKey && !found.replaced
        ? 'its table is not in the backup, and refers to rows that would go'
        : null,
  }
}

/**
 * Puts the constraints back, first as NOT VALID, under the search path that their definitions were written with; then each
 * that was valid is validated under the role's own. One that the rows break stays NOT VALID.
 * @returns a warning for each of those
 * @throws SchemaChanged where there is no NOT VALID, or where rows outside the backup would lose what they refer to
 */
export async function addConstraints(
  connection: Connection,
  dropped: readonly PostDataConstraint[],
): Promise<Warning[]> {
  const adds = dropped.flatMap(({ add }) => add)
  if (adds.length > 0) await connection.query(adds.join(';\n'))
  const toValidate = dropped.filter(({ validate }) => validate !== null)
  const all = toValidate.filter(({ isAlone }) => isAlone).map(({ validate }) => validate as string)
  if (all.length === 0 || (await validated(connection, all)) === undefined) return []
  const warnings: Warning[] = []
  for (const one of toValidate) {
    const error = await validated(connection, [one.validate as string])
    if (error !== undefined) warnings.push(await explain(connection, one, error))
  }
  return warnings
}

/** @returns the error when rows are the reason that it cannot be done */
async function validated(connection: Connection, statements: readonly string[]): Promise<unknown> {
  return inSavepoint(connection, async () => {
    await queryUnderOwnPath(connection, statements.join(';\n'))
  })
}

async function explain(connection: Connection, one: PostDataConstraint, error: unknown): Promise<Warning> {
  if (one.refusal !== null) {
    throw new SchemaChanged(
      `The ${one.name} does not hold for the rows of the backup, and ${one.refusal}. Nothing was changed; correct these rows or drop the key, then restore`,
      { cause: error },
    )
  }
  const rows = await one.broken(connection)
  const many =
    rows === null ? `its rows (SQLSTATE ${sqlStateOf(error)})` : `${counted(rows, 'row')} of the backup`
  return {
    code: 'ConstraintNotValid',
    message: `The ${one.name} does not hold for ${many}: they were put back as they were, and it is NOT VALID now. Correct the rows, then say ${one.validate}`,
  }
}

/** In the order in which they can be dropped: what a child table declares itself goes after what it inherits. */
async function readConstraints(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<ConstraintRow[]> {
  const answer = await connection.query(
    `WITH RECURSIVE replaced AS (SELECT oid FROM unnest($1::oid[]) AS t(oid)),
     up AS (
       SELECT oid, oid AS above FROM replaced
       UNION SELECT up.oid, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.above
     ),
     affected AS (SELECT DISTINCT above AS oid FROM up),
     down AS (SELECT oid FROM affected UNION SELECT i.inhrelid FROM down JOIN pg_inherits i ON i.inhparent = down.oid),
     lineage AS (
       SELECT oid, oid AS above FROM down
       UNION SELECT l.oid, i.inhparent FROM lineage l JOIN pg_inherits i ON i.inhrelid = l.above
     )
     SELECT k.conrelid::bigint::float8 AS oid, k.contype AS kind, k.coninhcount > 0 AS merged, n.nspname AS schema, c.relname AS "table", k.conrelid::regclass::text AS sql, k.conname AS name,
       pg_get_constraintdef(k.oid) AS definition, obj_description(k.oid, 'pg_constraint') AS comment,
       k.convalidated AS validated, coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AS enforced,
       NOT k.conislocal AS inherited, NOT EXISTS (
         SELECT FROM pg_inherits i JOIN pg_constraint p ON p.conrelid = i.inhparent AND p.conname = k.conname AND p.contype = k.contype
         WHERE i.inhrelid = k.conrelid AND NOT p.convalidated) AS "parentValidated",
       c.relkind = 'p' AS partitioned, k.conrelid IN (SELECT oid FROM affected) AS replaced,
       current_setting('server_version_num')::int >= 180000 AS "mayBeNotValid"
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (k.contype = 'f' AND k.conparentid = 0
         AND (k.conrelid IN (SELECT oid FROM affected) OR k.confrelid IN (SELECT oid FROM affected)))
       -- a child's own declaration may be merged with the inherited one
       OR (k.contype IN ('c', 'n') AND (k.contype = 'c' OR NOT k.convalidated) AND k.conislocal
         AND k.conrelid IN (SELECT oid FROM affected)
         AND NOT (k.connoinherit AND k.conrelid NOT IN (SELECT oid FROM replaced)))
       OR (k.contype = 'c' AND k.convalidated AND NOT k.conislocal AND k.conrelid IN (SELECT oid FROM down))
       -- NOT NULL comes back to a child as its parent has it, also where the child's own was valid
       OR (k.contype = 'n' AND k.convalidated AND NOT k.conislocal AND k.conrelid IN (SELECT oid FROM down) AND EXISTS (
         SELECT FROM pg_inherits i JOIN pg_constraint p ON p.conrelid = i.inhparent AND p.conname = k.conname AND p.contype = 'n'
         WHERE i.inhrelid = k.conrelid AND NOT p.convalidated))
     ORDER BY (SELECT count(*) FROM lineage l WHERE l.oid = k.conrelid), k.oid`,
    [tables.map(({ oid }) => oid)],
  )
  return answer.rows
}
