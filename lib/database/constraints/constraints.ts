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
import { refusalOfCrossing, type Staying } from './crossing.ts'
import { dropDomainConstraints } from './domains.ts'
import type { PostDataConstraint } from './post-data.ts'
import { type AlteredTable, type ConstraintRow, readConstraints } from './read-constraints.ts'

/**
 * Drops what could refuse rows while tables are filled, or looks at tables that are not filled yet: checks, NOT NULL that is
 * NOT VALID, foreign keys from or to one of the tables (also those of tables that stay), and constraints of domains. Unique
 * and exclusion constraints stay: Postgres has no NOT VALID for them, and they look at their own table alone.
 * @param unchanged tables that hold what the backup does, as those do that are filled
 * @param staying what of the backup is not put back, where rows that lose or lack their parents by that are refused
 * @see docs/decisions.md#a-restore-takes-what-was-there
 */
export async function dropConstraints(
  connection: Connection,
  tables: readonly AlteredTable[],
  unchanged: readonly AlteredTable[] = [],
  staying: Staying | null = null,
): Promise<PostDataConstraint[]> {
  const held = new Set(unchanged.map(({ oid }) => oid))
  const back = new Set([...tables, ...unchanged].map(({ oid }) => oid))
  const all = await readConstraints(connection, tables)
  const found = all.map((one) => ({ ...one, replaced: one.replaced || held.has(one.oid) }))
  const drops = found
    .filter(({ inherited }) => !inherited)
    .map(({ sql, name }) => `ALTER TABLE ${sql} DROP CONSTRAINT ${quote(name)}`)
  if (drops.length > 0) await connection.query(drops.join(';\n'))
  const domains = await dropDomainConstraints(connection, tables)
  const refusal = (one: ConstraintRow) =>
    staying && one.kind === 'f'
      ? refusalOfCrossing({ ...one, from: `${one.schema}.${one.table}` }, back, staying)
      : null
  return [...domains, ...found.map((one) => ({ ...toPostData(one), ...given(refusal(one)) }))]
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
  // VALIDATE would leave what Postgres has of the key for each partition that it refers to NOT VALID.
  const isMadeAnew = isKey && found.toPartitioned && !found.mayBeNotValid
  const isAlone = !found.inherited || !found.parentValidated
  const label = `${isKey ? 'foreign key' : 'check'} ${name} of ${found.schema}.${found.table}`
  const [drop, added] = [`DROP CONSTRAINT ${quote(name)}`, `ADD CONSTRAINT ${quote(name)} ${definition}`]
  const add = `ALTER TABLE ${sql} ${added}`
  const text =
    comment === null ? [] : [`COMMENT ON CONSTRAINT ${quote(name)} ON ${sql} IS ${literal(comment)}`]
  const whole = [atOnce ? add : `ALTER TABLE ${sql} ${drop}, ${added}`, ...text].join(';\n')
  const validated = isMadeAnew ? whole : `ALTER TABLE ${sql} VALIDATE CONSTRAINT ${quote(name)}`
  return {
    add: atOnce || found.inherited ? [] : [isValidated ? `${add} NOT VALID` : add, ...text],
    isAlone,
    validate: atOnce ? whole : isValidated ? validated : null,
    name: label,
    broken: (connection) => (isKey ? countBrokenKey : countBrokenCheck)(connection, sql, name),
    refusal: atOnce
      ? asSchemaChanged(label, 'a key of a partitioned table cannot be NOT VALID before PostgreSQL 18')
      : isKey && !found.replaced
        ? asSchemaChanged(label, 'its table is not in the backup, and refers to rows that would go')
        : null,
  }
}

function given(refusal: PostDataConstraint['refusal']): Partial<PostDataConstraint> {
  return refusal === null ? {} : { refusal }
}

function asSchemaChanged(label: string, why: string): PostDataConstraint['refusal'] {
  return (_rows, cause) =>
    new SchemaChanged(
      `The ${label} does not hold for the rows of the backup, and ${why}. Nothing was changed; correct these rows or drop the key, then restore`,
      { cause },
    )
}

/**
 * Puts the constraints back, first as NOT VALID, under the search path that their definitions were written with; then each
 * that was valid is validated under the role's own. One that the rows break stays NOT VALID.
 * @returns a warning for each of those
 * @throws SchemaChanged where there is no NOT VALID, or where rows outside the backup would lose what they refer to;
 *   PreservationConflict, ParentsMissing for a key between what is put back and what stays
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
  const rows = await one.broken(connection)
  if (one.refusal !== null) throw one.refusal(rows, error)
  const many =
    rows === null ? `its rows (SQLSTATE ${sqlStateOf(error)})` : `${counted(rows, 'row')} of the backup`
  return {
    code: 'ConstraintNotValid',
    message: `The ${one.name} does not hold for ${many}: they were put back as they were, and it is NOT VALID now. Correct the rows, then say ${one.validate}`,
  }
}
