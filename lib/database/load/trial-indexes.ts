import type { Warning } from '../../backup/manifest.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { indexBody } from '../catalog/index-body.ts'
import { inSavepoint, isOfTheRows } from '../savepoint.ts'
import { isHeldAsText, scratchSchemaOf, scratchTableOf, typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

type Index = {
  oid: number
  name: string
  valid: boolean
  /** What follows the table's name: ` USING btree (…) WHERE …`. */
  body: string
  /** In place of an index: the constraint that only ALTER TABLE can make. */
  constraint: string | null
  unique: boolean
}

/**
 * Builds on the loaded rows every index of the live tables that could refuse one (unique, exclusion, or on an expression), and
 * takes it back: Postgres has no NOT VALID for them. To be called in a transaction.
 * @param isCurrent whether functions that read tables find there what was backed up; else only duplicates count
 * @returns what could not be tried here
 * @throws RehearsalFailed naming table and index
 */
export async function tryIndexes(
  connection: Connection,
  { runId, pairs, isCurrent }: { runId: string; pairs: readonly TablePair[]; isCurrent: boolean },
): Promise<Warning[]> {
  const indexes = await readIndexes(connection, pairs)
  const warnings: Warning[] = []
  for (const pair of pairs) {
    const held = indexes.get(pair.live.oid) ?? []
    if (held.length === 0 || pair.table.rows === 0) continue
    const statements = held.map((index) => statementOf(pair, index, runId))
    // Together when all is well; one by one to find out which.
    if ((await tryOut(connection, runId, pair, statements)) === undefined) continue
    for (const [at, index] of held.entries()) {
      const error = await tryOut(connection, runId, pair, [statements[at] as string])
      if (error === undefined || !(isCurrent || isDuplicate(error))) continue
      warnings.push(explain(pair, index, error))
    }
  }
  return warnings
}

function statementOf({ table, live }: TablePair, { body, constraint, unique }: Index, runId: string): string {
  const target = live.columns.some(isHeldAsText)
    ? `${quote(scratchSchemaOf(runId))}.typed`
    : qualified(scratchTableOf(runId, table))
  return constraint === null
    ? `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ON ${target}${body}`
    : `ALTER TABLE ${target} ADD ${constraint}`
}

/** @returns the error that one of the statements ends with */
async function tryOut(
  connection: Connection,
  runId: string,
  { table, live }: TablePair,
  statements: readonly string[],
): Promise<unknown> {
  const typed = live.columns.some(isHeldAsText)
    ? [
        `CREATE UNLOGGED TABLE ${quote(scratchSchemaOf(runId))}.typed AS SELECT * FROM ${typedRows(runId, table, live)}`,
      ]
    : []
  const done = new Error('what was tried is taken back')
  const error = await inSavepoint(
    connection,
    async () => {
      await connection.query([ownSearchPath, ...typed, ...statements].join(';\n'))
      throw done
    },
    (thrown) => thrown === done || isOfTheRows(thrown),
  )
  return error === done ? undefined : error
}

/** @throws RehearsalFailed unless it is only the trial that cannot be made */
function explain({ table }: TablePair, { name, valid }: Index, error: unknown): Warning {
  const state = sqlStateOf(error)
  // Since PostgreSQL 17 an index is made under a safe search path, and a row is put into it under the session's.
  if (state?.startsWith('42')) {
    return {
      code: 'NotProved',
      message: `The index ${name} of ${table.name} cannot be built anew (SQLSTATE ${state}), so it is not proved that it takes the backed-up rows; they were in it. Look at the functions that it calls: do they name the schemas of what they use?`,
    }
  }
  const refused = isDuplicate(error) ? 'are not unique by it' : `make it raise an error (SQLSTATE ${state})`
  throw new RehearsalFailed(
    `The index ${name} of ${table.name}${valid ? '' : ', which is INVALID,'} would not take the backed-up rows: they ${refused}. They could not be put back; the live tables were not touched. Correct these rows, or ${valid ? 'drop the index or constraint' : 'drop that index'}`,
    { cause: error },
  )
}

function isDuplicate(error: unknown): boolean {
  return ['23505', '23P01'].includes(sqlStateOf(error) ?? '')
}

async function readIndexes(
  connection: Connection,
  pairs: readonly TablePair[],
): Promise<Map<number, Index[]>> {
  const answer = await connection.query(
    `SELECT i.indrelid::bigint::float8 AS oid, c.relname AS name, i.indisvalid AS valid, i.indisunique AS unique,
       ${indexBody} AS body,
       CASE WHEN k.contype = 'x' OR (to_jsonb(k) ->> 'conperiod')::boolean
         THEN CASE k.contype WHEN 'p' THEN replace(pg_get_constraintdef(k.oid), 'PRIMARY KEY', 'UNIQUE') ELSE pg_get_constraintdef(k.oid) END END AS constraint
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
     WHERE i.indrelid = ANY($1::oid[]) AND i.indisready
       AND (i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
     ORDER BY c.oid`,
    [pairs.map(({ live }) => live.oid)],
  )
  return Map.groupBy(answer.rows, ({ oid }) => oid)
}
