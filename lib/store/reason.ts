import * as z from 'zod'
import { messageOf } from '../errors.ts'

/** An error as a caller reads it: why a store cannot be asked, or why a plan is refused. */
export const Reason = z.strictObject({ name: z.string(), message: z.string() })
export type Reason = z.output<typeof Reason>

/** Also for what a library threw: a caller reads the reason, whatever it is. */
export function reasonOf(error: unknown): Reason {
  return { name: error instanceof Error ? error.name : 'UnexpectedError', message: messageOf(error) }
}
