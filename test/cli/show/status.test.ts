import { expect, test } from 'vitest'
import { backup } from '../../../lib/http/document/examples.ts'
import type { Status } from '../../../lib/run/status/status.ts'
import { statusText } from '../../../local/cli/commands/status.ts'

const now = new Date('2026-11-23T00:05:33Z')
const night = (day: string, ended: string | null) => ({
  ...{ day, runId: ended && `run-${day}`, operation: ended && 'reset-to', status: ended },
})
const { labels: _, note: __, run: ___, kept: ____, ...sealed } = backup
const status: Status = {
  lastProved: {
    ...{ backupId: '2026-11-22T19-05-33Z-3f9a2c', strategy: 'full', startedAt: '2026-11-22T19:05:33.000Z' },
    rehearsedAt: '2026-11-22T19:06:00.000Z',
  },
  dueEveryHours: 24,
  next: {
    ...{ name: 'nightly', at: '2026-11-23T02:00:00.000Z', operation: 'reset', strategy: 'full' },
    to: 'baseline',
  },
  labelled: [{ label: 'baseline', ...sealed }],
  unseenLabels: ['before'],
  backups: { count: 31, bytes: 3_113_851_290, older: 0 },
  nights: [
    night('2026-11-17', 'cancelled'),
    night('2026-11-18', null),
    night('2026-11-19', 'succeeded'),
    night('2026-11-20', 'failed'),
    night('2026-11-21', 'succeeded_with_warnings'),
    night('2026-11-22', 'succeeded'),
  ],
  storage: [],
}

test('status says at a glance how old the newest proved backup is, what comes next, and how the nights went', () => {
  expect(
    statusText(status, now),
  ).toBe(`  last proved backup  2026-11-22T19-05-33Z-3f9a2c (full, 5 hours old, rehearsed). In time: the schedule takes one every 24 hours.
  next run            2026-11-23 02:00:00 UTC: reset full to baseline (nightly)
  backups             31, 2.9 GiB
  label baseline      ${sealed.backupId}
  label before        was not looked at: there was no time
  last thirty nights  -·✓✗!✓

  2026-11-17  cancelled: run run-2026-11-17
  2026-11-20  failed: run run-2026-11-20
  2026-11-21  succeeded, with warnings: run run-2026-11-21
`)
})

test('status of an environment where nothing was done yet says so', () => {
  const none = { lastProved: null, dueEveryHours: null, next: null, nights: [], storage: [] }
  const bare = { ...none, labelled: [], unseenLabels: [] }
  const text = statusText({ ...bare, backups: { count: 0, bytes: 0, older: 0 } }, now)
  expect(text).toContain('none. No backup yet, and no schedule that takes one.\n')
  expect(text).toContain('nothing is scheduled\n')
})
