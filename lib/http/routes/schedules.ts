import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { toldSchedules } from '../../run/schedule/told.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { refusals } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'

export const ScheduleInfo = z
  .strictObject({
    name: z.string().meta({ example: 'nightly' }),
    state: z.enum(['ENABLED', 'DISABLED']),
    operation: z.enum(['reset', 'backup']),
    strategy: z.string(),
    to: z
      .string()
      .nullable()
      .meta({ description: 'Of a reset: the backup that it goes back to; null: to zero' }),
    expression: z.string().meta({ description: 'As EventBridge Scheduler takes it' }),
    timeZone: z.string(),
    next: z.array(z.iso.datetime()).meta({
      description: 'Its next times; none when it is off, or a `rate`, which counts from when it was made',
    }),
  })
  .openapi('ScheduleInfo')

const example = {
  schedules: [
    {
      ...{ name: 'nightly', state: 'ENABLED' as const, operation: 'reset' as const, strategy: 'full' },
      ...{ to: 'baseline', expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' },
      next: ['2026-11-27T02:00:00.000Z', '2026-11-28T02:00:00.000Z'],
    },
  ],
}

const route = createRoute({
  operationId: 'listSchedules',
  method: 'get',
  path: '/v1/schedules',
  tags: ['Environment'],
  summary: 'List when which run begins by itself',
  description: 'Needs the scope read. What was configured when the stage was deployed.',
  middleware: scoped('read'),
  request: { query: noQuery },
  responses: {
    200: answer('The schedules', z.strictObject({ schedules: z.array(ScheduleInfo) }), { example }),
    ...refusals(400),
  },
})

export const schedules = new OpenAPIHono<Api>().openapi(route, ({ var: { clients }, json }) =>
  json({ schedules: toldSchedules(clients.config, clients.now()) }, 200),
)
