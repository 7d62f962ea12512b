import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'

export const Session = z
  .strictObject({
    name: z.string().meta({ description: "The token's", example: 'ci' }),
    scopes: z.array(z.string()),
    expiresAt: z
      .string()
      .nullable()
      .meta({ description: 'From when on the token is good for nothing; null: never' }),
    environment: z.string().meta({ description: 'What `confirm` has to say', example: 'staging' }),
    protected: z.boolean().meta({ description: 'The configuration forbids every wipe here' }),
    version: z.string(),
  })
  .openapi('Session')
export type Session = z.output<typeof Session>
