import type { z } from 'zod'
import { getJson, type Storage } from '../backup/storage.ts'
import { NotFound } from '../errors.ts'

/** The result that an earlier try of the same step wrote, or undefined when there was none. */
export async function readEarlier<Schema extends z.ZodType>(
  work: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  try {
    return await getJson(work, key, schema)
  } catch (error) {
    if (error instanceof NotFound) return undefined
    throw error
  }
}
