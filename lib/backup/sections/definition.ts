import * as z from 'zod'

/** Bytes, and rows, of what a manifest tells of how the tables are made; `line`: characters of one of `leftOut`. */
export const definitionLimits = { sql: 128 * 1024, rows: 1000, migrations: 64 * 1024, line: 1024 }

const name = z.string().min(1).max(256)

/** The rows of a migration tool's table, each value as Postgres' own text. */
export const Migrations = z.strictObject({
  schema: name,
  table: name,
  columns: z.array(name).max(1600),
  rows: z.array(z.array(z.string().nullable())).max(definitionLimits.rows),
})
export type Migrations = z.output<typeof Migrations>

/**
 * How the managed tables are made, as SQL from the catalog, for reading and for an empty database; '': it would be longer than
 * is kept. `leftOut`: what there is besides, which it does not make, a line for each kind.
 */
export const Definition = z.strictObject({
  sql: z.string().max(definitionLimits.sql),
  leftOut: z.array(z.string().max(definitionLimits.line)).max(1000),
  migrations: z.array(Migrations),
})
export type Definition = z.output<typeof Definition>
