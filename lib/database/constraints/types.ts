import type { Warning } from '../../backup/manifest.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { textOfValue } from '../rows.ts'
import { inSavepoint, isOfTheRows } from '../savepoint.ts'
import { isHeldAsText, scratchTableOf, typedValue } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { dropDomainConstraints } from './domains.ts'

/**
 * Proves of values that are held as text that the live column's type reads them, and writes them the same way again.
 * To be called in a transaction.
 * @param version of the format that the values were backed up in
 * @returns domains that refuse what their columns hold: a restore puts it back with the constraint NOT VALID
 * @throws RehearsalFailed naming the column
 */
export async function proveTypes(
  connection: Connection,
  {
    runId,
    pairs,
    version,
  }: { runId: string; pairs: readonly TablePair[]; version: FingerprintFormat['version'] },
): Promise<Warning[]> {
  const warnings: Warning[] = []
  for (const pair of pairs) {
    for (const { name, type } of pair.live.columns.filter(isHeldAsText)) {
      if (pair.table.rows === 0 || !pair.table.columns.some((column) => column.name === name)) continue
      const text = `SELECT count(*)::float8 AS rows FROM ${qualified(scratchTableOf(runId, pair.table))} AS r
        WHERE ${textOfValue(`(${typedValue(`r.${quote(name)}`, type)})`, type, version)} IS DISTINCT FROM r.${quote(name)}`
      const refused = await readAll(connection, pair, text, { withoutDomainConstraints: false })
      if (refused === undefined) continue
      const anyway = await readAll(connection, pair, text, { withoutDomainConstraints: true })
      if (anyway !== undefined) throw unreadable(pair, { name, type }, anyway)
      warnings.push({
        code: 'ConstraintBroken',
        message: `A domain in the type ${type} of ${pair.table.name}.${name} refuses values that are there (SQLSTATE ${sqlStateOf(refused)}). A restore puts them back, and the domain's constraint as NOT VALID`,
      })
    }
  }
  return warnings
}

/** @returns the error that the application's expressions end with */
async function readAll(
  connection: Connection,
  { live }: TablePair,
  text: string,
  { withoutDomainConstraints }: { withoutDomainConstraints: boolean },
): Promise<unknown> {
  let isSame = false
  const error = await inSavepoint(
    connection,
    async () => {
      if (withoutDomainConstraints) await dropDomainConstraints(connection, [live])
      // The text of regclass and its like was made under the pinned path, while functions need the role's own.
      for (const path of ['DEFAULT', 'pg_catalog']) {
        const answers: unknown = await connection.query(`SET LOCAL search_path TO ${path}; ${text}`)
        const [, { rows }] = answers as [unknown, { rows: { rows: number }[] }]
        isSame ||= rows[0]?.rows === 0
        if (isSame) break
      }
      throw tried
    },
    (thrown) => thrown === tried || isOfTheRows(thrown),
  )
  if (error !== tried) return error
  return isSame ? undefined : new Error('the text of some values is not the same again')
}

/** Takes back what was set for a trial. */
const tried = new Error('tried')

function unreadable(
  { table }: TablePair,
  { name, type }: { name: string; type: string },
  error: unknown,
): Error {
  const state = sqlStateOf(error)
  return new RehearsalFailed(
    `The type ${type} of ${table.name}.${name} does not read the values that were backed up${state === undefined ? ' as they were' : ` (SQLSTATE ${state})`}. They could not be put back; the live tables were not touched. Bring the type back to what it was; a domain's constraint has to be owned by the database role to be put back NOT VALID`,
    { cause: error },
  )
}
