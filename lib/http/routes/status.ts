import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import { statusOf } from '../../run/status/status.ts'
import { Status } from '../answers/status.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { backup, run } from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'

const { labels, note: _, run: __, kept: ___, ...sealed } = backup
const { backupId, strategy, startedAt, rehearsedAt, bytes } = sealed
const { runId, operation, status: ended } = run
const example = {
  lastProved: { backupId, strategy, startedAt, rehearsedAt },
  dueEveryHours: 24,
  next: {
    ...{ name: 'nightly', at: '2026-11-23T03:00:00.000Z', operation: 'reset', strategy: 'full' },
    to: 'baseline',
  },
  labelled: (labels ?? []).map((label) => ({ label, ...sealed })),
  unseenLabels: [],
  backups: { count: 1, bytes, older: 0 },
  nights: [
    { day: '2026-11-21', runId: null, operation: null, status: null },
    { day: '2026-11-22', runId, operation, status: ended },
  ],
  storage: [
    { day: '2026-11-21', bytes: 0 },
    { day: '2026-11-22', bytes },
  ],
}

const route = createRoute({
  operationId: 'getStatus',
  method: 'get',
  path: '/v1/status',
  tags: ['Environment'],
  summary: 'Ask how old the newest proved backup is, what runs next, and how the last thirty nights ended',
  description: 'Needs the scope read. What it says may be half a minute old.',
  middleware: scoped('read'),
  request: { query: noQuery },
  responses: { 200: answer('The status', Status, { example }), ...refusals(400) },
})

export const status = new OpenAPIHono<Api>().openapi(route, async ({ var: { clients }, json }) =>
  json(await statusOf(clients), 200),
)
