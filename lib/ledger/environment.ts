import { randomBytes } from 'node:crypto'
import { eq, isNull } from 'drizzle-orm'
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
  // By name, for a ledger that was not brought up to date yet has fewer columns.
  const columns = { name: environment.name, protected: environment.protected }
  const [row] = await ledger(connection).select(columns).from(environment)
  return row
}

/** Writes the environment's row; an existing row of the same name gets the new protection, and a seed if it has none. */
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
  await makeSeed(connection)
}

/**
 * The seed of the environment's fingerprints, as decimal text. It is a secret: who knows it can make rows of which the
 * fingerprint does not notice that they were exchanged. An environment that was claimed before there were seeds gets its own
 * here, once, whoever asks first.
 */
export async function readSeed(connection: Connection): Promise<string> {
  const read = async () => {
    const [row] = await ledger(connection).select({ seed: environment.fingerprintSeed }).from(environment)
    return row?.seed
  }
  let seed = await read()
  if (seed === null) {
    await makeSeed(connection)
    seed = await read()
  }
  if (seed != null) return seed.toString()
  throw new EnvironmentUnclaimed(
    `${placeOfName} lost its row while a run was at work. Nothing was touched; claim the environment again`,
  )
}

/** 64 bits, as decimal text. */
export function randomSeed(): string {
  return randomBytes(8).readBigInt64BE().toString()
}

async function makeSeed(connection: Connection): Promise<void> {
  await ledger(connection)
    .update(environment)
    .set({ fingerprintSeed: BigInt(randomSeed()) })
    .where(isNull(environment.fingerprintSeed))
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
