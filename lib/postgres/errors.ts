import { DrizzleQueryError } from 'drizzle-orm'
import {
  BackupIsStale,
  DatabaseBusy,
  DatabaseFull,
  DatabaseOutOfMemory,
  messageOf,
  NotPermitted,
  PreservationConflict,
  ResetError,
  RowsHidden,
  StoreUnavailable,
} from '../errors.ts'

/**
 * What Postgres reported, as one of our errors where we know what to do about it; else as it is.
 * @see docs/decisions.md#a-sqlstate-is-read-before-it-becomes-an-error-of-ours
 */
export function databaseError(error: unknown): unknown {
  if (error instanceof ResetError) return error
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  const message = messageOf(cause)
  const state = sqlStateOf(cause)
  switch (state) {
    case '55P03':
    case '40P01':
    case '40001':
      return new DatabaseBusy(
        `Another session is in the way: ${message}. The statement changed nothing; try again`,
        {
          cause,
        },
      )
    case '42P01':
    case '42703':
    case '3F000':
      return new BackupIsStale(
        `A table was dropped, renamed or altered since the run began: ${message}. The statement changed nothing; run again when the migration is done`,
        { cause },
      )
    case '42501':
      if (!message.includes('row-level security')) {
        return new NotPermitted(
          `The database role lacks a right: ${message}. The statement changed nothing; grant it`,
          {
            cause,
          },
        )
      }
      return new RowsHidden(
        `Row security hides rows from the database role: ${message}. Use the owner without FORCE ROW LEVEL SECURITY, or a role with BYPASSRLS, else the backup would be short`,
        { cause },
      )
    case '53100':
    case '53400': // temp_file_limit
      return new DatabaseFull(
        `The database has no room left: ${message}. The statement changed nothing; a rehearsal and a restore need room for the backed-up rows beside the live ones, until the run ends. Make room or raise the plan's limit, or run without a rehearsal`,
        { cause },
      )
    case '53200':
      return new DatabaseOutOfMemory(
        `The database server has too little memory: ${message}. The statement changed nothing; give the server more, or start again when it has less to do`,
        { cause },
      )
    case '0A000': // cannot truncate a table that another one references
    case '23000': // a rule turned the query of a foreign key into another one
    case '23001':
    case '23503':
      return new PreservationConflict(
        `A foreign key does not let the tables be emptied: ${message}. Nothing was changed; preserve what it refers to, too`,
        { cause },
      )
    default:
      return isDisconnect(state, message)
        ? new StoreUnavailable(
            `The connection to the database broke: ${message}. Start again when it is back`,
            { cause },
          )
        : cause
  }
}

function isDisconnect(state: string | undefined, message: string): boolean {
  return state === undefined
    ? /^Connection terminated|is not queryable$/.test(message)
    : /^(08|57P)/.test(state)
}

/** The five-character SQLSTATE of a Postgres error. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
