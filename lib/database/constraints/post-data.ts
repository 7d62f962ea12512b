import type { Connection } from '../../postgres/connection.ts'

/**
 * A constraint that is dropped while tables are filled: how it is added again after the data, and how it becomes valid. As
 * `pg_dump` calls what it restores last.
 */
export type PostDataConstraint = {
  add: string[]
  validate: string | null
  /** Nothing else validates it by the way. One that is inherited follows its parent, unless that was NOT VALID, or fails. */
  isAlone: boolean
  /** What people call it: `check later of public.a`. */
  name: string
  /** How many rows break it; null when that cannot be counted. */
  broken: (connection: Connection) => Promise<number | null>
  /** With what rows that break it, so many as that can be counted, end the restore; null: it comes back NOT VALID. */
  refusal: ((rows: number | null, cause: unknown) => Error) | null
}
