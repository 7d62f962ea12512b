import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { ResetOptions } from '../../run/options.ts'

export const Options = ResetOptions.extend({
  abridged: z.literal(true).optional().meta({
    description: 'There is too much to tell, such as tables: lists are cut',
  }),
}).openapi('Options')
export type Options = z.output<typeof Options>
