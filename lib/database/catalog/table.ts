import * as z from 'zod'
import { Column } from '../../backup/sections/database.ts'

/** One table that holds rows, or one partitioned table (which holds none itself). */
export const Table = z.strictObject({
  /** `schema.table`, unquoted: how people, plans and manifests name it. */
  name: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: z.number(),
  partitioned: z.boolean(),
  /** The partitioned table or inheritance parent above it, as `schema.table`. */
  parents: z.array(z.string()),
  /** The tables directly below a partitioned table, in any schema. */
  partitions: z.array(z.string()),
  columns: z.array(Column),
  /** Pages of the main fork, 8 KiB each on a standard build. */
  pages: z.number(),
  /** Bytes with TOAST, without indexes. */
  bytes: z.number(),
  owned: z.boolean(),
  mayRead: z.boolean(),
  mayTruncate: z.boolean(),
})
export type Table = z.output<typeof Table>
