import { eq } from 'drizzle-orm'
import type { Config } from '../config/variables.ts'
import { EnvironmentMismatch, EnvironmentProtected, EnvironmentUnclaimed } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { environment } from './schema.ts'
import { hasLedger, ledger } from './tables.ts'

/** Where the environment's name stands in the database. */
export const placeOfName = 'The database (taskmaster_reset.environment)'

/** The environment's row, or undefined when the database was never claimed. */
export async function readEnvironment(
  connection: Connection,
): Promise<{ name: string; protected: boolean } | undefined> {
  if (!(await hasLedger(connection))) return undefined
  const [row] = await ledger(connection).select().from(environment)
  return row && { name: row.name, protected: row.protected }
}

/** Writes the environment's row; an existing row of the same name gets the new protection. */
export async function writeEnvironment(
  connection: Connection,
  row: { name: string; protected: boolean },
): Promise<void> {
  await ledger(connection)
    .insert(environment)
    .values(row)
    .onConflictDoUpdate({
      target: environment.one,
      set: { protected: row.protected },
      setWhere: eq(environment.name, row.name),
    })
}

/** The environment's row, looked at once more in the transaction that wipes. */
export async function checkEnvironmentRow(connection: Connection, config: Config): Promise<void> {
  const row = await readEnvironment(connection)
  checkMark(placeOfName, row?.name, config)
  if (row?.protected) throw protectedError(config)
}

/** @throws EnvironmentUnclaimed when a store carries no name, EnvironmentMismatch when it carries another one */
export function checkMark(
  where: string,
  name: string | undefined,
  config: Config,
  others: readonly string[] = [],
  untouched = 'Nothing was touched',
): void {
  if (name === config.ENVIRONMENT) return
  if (name === undefined) {
    const evicted =
      others.length === 0
        ? ''
        : ` The ${others.join(' and the ')} carry it, so it was probably evicted, flushed or restored away.`
    throw new EnvironmentUnclaimed(
      `${where} carries no environment's name.${evicted} ${untouched}; if it really belongs to "${config.ENVIRONMENT}", claim it: {"operation":"claim","confirm":"${config.ENVIRONMENT}"}`,
    )
  }
  throw new EnvironmentMismatch(
    `${where} belongs to the environment "${name}", but the configuration says "${config.ENVIRONMENT}". ${untouched}; correct the configuration, or remove that mark by hand if it is wrong`,
  )
}

// See docs/decisions.md#protected-is-a-variable-of-its-own.
export function protectedError(config: Config): EnvironmentProtected {
  return new EnvironmentProtected(
    `The environment "${config.ENVIRONMENT}" is protected: nothing is wiped or deleted in it. If that is really wanted, set PROTECTED=false and claim it again`,
  )
}
