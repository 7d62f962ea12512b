import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import type { StartedRun } from '../../run/start.ts'

export const Started = z
  .strictObject({ runId: z.string(), address: z.string().meta({ example: '/v1/runs/7f9c…' }) })
  .openapi('Started')

/** What a start is answered with. */
export function accepted({ runId, replayed }: StartedRun) {
  const address = `/v1/runs/${runId}`
  const headers = { location: address, ...(replayed && { 'idempotency-replayed': 'true' }) }
  return [{ runId, address }, 202, headers] as const
}
