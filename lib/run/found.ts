import type { z } from 'zod'
import { getJson, type Storage } from '../backup/storage.ts'
import { NotFound } from '../errors.ts'

/** What a step left, or null when it left nothing. */
export async function ifPresent<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema> | null> {
  try {
    return await getJson(storage, key, schema)
  } catch (error) {
    if (error instanceof NotFound) return null
    throw error
  }
}
