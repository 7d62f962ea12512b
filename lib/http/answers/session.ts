import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'

const place = (description: string, example: string) => z.string().meta({ description, example })

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
    where: z
      .strictObject({
        database: place('Host and name', 'ep-cool-1.eu-central-1.aws.neon.tech/taskmaster'),
        cache: place('Host', 'eu1-cool-1.upstash.io'),
        files: place('Bucket and folder', 's3://taskmaster-files/generated_stories/'),
        backups: place('Bucket and folder', 's3://taskmaster-backups/.taskmaster/backups/'),
      })
      .meta({ description: 'What this service acts on, without users and passwords' }),
    version: z.string(),
  })
  .openapi('Session')
export type Session = z.output<typeof Session>
