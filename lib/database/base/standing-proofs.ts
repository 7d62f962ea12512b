import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { readRequirements } from '../constraints/requirements.ts'
import { readRowExpressions } from '../constraints/row-expressions.ts'
import { readAskedAsWhole } from '../constraints/unique-indexes.ts'
import type { DatabasePlan } from '../schema/plan.ts'
import { dueParts, type ShareAt } from './share.ts'

type Asked = {
  /** Of the base. */
  tables: readonly BackedUpTable[]
  /** Those that are backed up now. */
  live: readonly { oid: number; name: string }[]
  at: ShareAt
  /** The base was made by exactly this version of the server. */
  sameServer: boolean
  /** Whether this run loads what it exports; `all`: whatever was proved before. */
  rehearse: boolean | 'all'
  /** The run wipes or replaces the tables: what only all rows together tell is asked of all, and a restore may have to be tried. */
  wipes: boolean
}

/**
 * The base's tables, of which `provedAt` is null where a proof does not count or is to be renewed: such a part is loaded whole,
 * though it is taken over. A proof counts while the table asks of its rows what it asked when they were proved.
 * @returns `requirements`: that, by table, as far as any proof counts. Who compares looks whether it still is so.
 *   `askedTogether`: the fingerprints of tables of which nothing is left to be asked, as long as they hold these rows
 * @see docs/decisions.md#every-part-is-loaded-within-some-days
 */
export async function standingProofs(
  connection: Connection,
  { tables, live, at, sameServer, rehearse, wipes }: Asked,
): Promise<
  { tables: BackedUpTable[] } & Pick<NonNullable<DatabasePlan['base']>, 'requirements' | 'askedTogether'>
> {
  const none =
    !sameServer || rehearse === 'all' || (wipes && (await readRowExpressions(connection, live)).length > 0)
  const now = none ? new Map<string, string>() : await readRequirements(connection, live)
  const together = wipes && !none ? await readAskedAsWhole(connection, live) : new Set<number>()
  for (const { oid, name } of live) if (together.has(oid)) now.delete(name)
  const standing = new Set(
    tables
      .filter(({ name, provedUnder }) => provedUnder !== undefined && now.get(name) === provedUnder)
      .map(({ name }) => name),
  )
  const due =
    rehearse === false
      ? new Set()
      : dueParts(
          tables.filter(({ name }) => standing.has(name)),
          at,
        )
  return {
    tables: tables.map((table) => ({
      ...table,
      parts: table.parts.map((part) => ({
        ...part,
        provedAt: standing.has(table.name) && !due.has(part.key ?? '') ? (part.provedAt ?? null) : null,
      })),
    })),
    requirements: Object.fromEntries([...now].filter(([name]) => standing.has(name))),
    askedTogether: Object.fromEntries(
      tables
        .filter(
          ({ name, parts }) =>
            standing.has(name) && parts.every(({ provedAt }) => typeof provedAt === 'string'),
        )
        .map(({ name, fingerprint }) => [name, fingerprint]),
    ),
  }
}
