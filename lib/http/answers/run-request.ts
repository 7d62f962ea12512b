import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { requests } from '../../run/request.ts'

const own = { idempotencyKey: true, requestedBy: true, scheduledTime: true } as const

type Sent<Request extends z.ZodObject> = z.ZodObject<Omit<Request['shape'], keyof typeof own>, z.core.$strict>
type AnySent = { [Name in keyof typeof requests]: Sent<(typeof requests)[Name]> }[keyof typeof requests]

const sent = Object.entries<z.ZodObject>(requests).map(([name, request]) =>
  request.omit(own).openapi(`${name[0]?.toUpperCase()}${name.slice(1)}Request`),
)

/** A request as every way in takes it, without what the API says itself. */
export const RunRequest = z
  .discriminatedUnion('operation', sent as unknown as [AnySent, ...AnySent[]])
  .openapi('RunRequest')
