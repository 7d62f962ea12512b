import * as z from 'zod'
import { type Header, withHeaders } from './headers.ts'

/** Of a route that knows no query: what somebody sends in one would be ignored, and is refused. */
export const noQuery = z.strictObject({})

/** An answer with a JSON body. */
export function answer<Schema extends z.ZodType>(
  description: string,
  schema: Schema,
  { has = [], example }: { has?: Header[]; example?: z.input<Schema> } = {},
) {
  const content = { schema, ...(example === undefined ? {} : { example }) }
  return { description, headers: withHeaders(...has), content: { 'application/json': content } }
}

/** The answer to who has the latest already, and said so in `If-None-Match`. */
export const unchanged = {
  description: 'It is as the `ETag` in `If-None-Match` says',
  headers: withHeaders('ETag', 'Link'),
}

/** Of a route that is asked again and again. */
export const ifNoneMatch = z.object({
  'if-none-match': z.string().optional().meta({
    description: 'The `ETag` of the answer that the caller has',
    example: '"dBaV4Cw1b0bVYzPrWQ2mHw"',
  }),
})
