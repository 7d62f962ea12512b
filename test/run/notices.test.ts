import { describe, expect, test } from 'vitest'
import type { RunRow } from '../../lib/ledger/runs.ts'
import { requestOf } from '../../lib/run/notices/event.ts'
import {
  textForChat,
  textOfEnd,
  textOfNoBackup,
  textOfRefused,
  textOfStart,
} from '../../lib/run/notices/text.ts'
import { subjectOf } from '../../lib/web/publish.ts'

const named = { ENVIRONMENT: 'staging', PAGE_URL: 'https://ops.example/' }
const outcome = {
  ...{ runId: 'nightly 1', operation: 'reset', strategy: 'full', status: 'succeeded_with_warnings' },
  ...{ backupId: '2026-11-22T19-05-33Z-3f9a2c', backupPrefix: 's3://b/x/', error: null },
  targets: {
    database: { state: 'wiped', rows: 1_234_567, tables: {} },
    files: { state: 'wiped', objects: 12, bytes: 2048 },
    cache: { state: 'untouched', keys: 0 },
  },
  warnings: Array.from({ length: 7 }, (_, index) => ({ code: `W${index}`, message: 'x'.repeat(2000) })),
  ...{ startedAt: '2026-11-22T19:05:33.000Z', finishedAt: '2026-11-22T19:06:33.000Z' },
}
const rowOf = (changed: object): RunRow =>
  ({
    runId: 'nightly 1',
    operation: 'reset',
    strategy: 'full',
    status: outcome.status,
    failure: null,
    outcome,
    ...changed,
  }) as RunRow

describe('the text of a notice', () => {
  test('is the outcome in plain words, with the link to the run, and with no end of warnings', () => {
    const { title, lines, url } = textOfEnd(named, rowOf({}), ['warned'])
    expect(title).toBe('staging: reset full succeeded, with warnings')
    expect(url).toBe('https://ops.example/#/runs/nightly%201')
    expect(lines.slice(0, 4)).toEqual([
      'database: wiped, 1,234,567 rows',
      'files: wiped, 12 files, 2.0 KiB',
      'cache: untouched',
      'Backup: 2026-11-22T19-05-33Z-3f9a2c',
    ])
    expect(lines.slice(-2)).toEqual(['And 2 warnings more.', 'Ended at 2026-11-22 19:06:33 UTC.'])
    expect(lines.join('\n').length).toBeLessThan(8000)
  })

  test('names a reset to a backup as people do, with the label that it goes back to where that is known', () => {
    const to = { name: 'baseline', backupId: '2026-11-22T19-05-33Z-3f9a2c' }
    const titleOf = (changed: object) =>
      textOfEnd(named, rowOf({ operation: 'reset-to', ...changed }), ['succeeded']).title
    expect(titleOf({ outcome: { ...outcome, operation: 'reset-to', to } })).toBe(
      'staging: reset full to baseline succeeded, with warnings',
    )
    const plan = { restore: { backupId: to.backupId, to: 'baseline' } }
    expect(titleOf({ status: 'abandoned', outcome: null, plan })).toBe(
      'staging: reset full to baseline abandoned',
    )
    const run = { runId: 'a', operation: 'reset-to', strategy: 'full' }
    expect(textOfStart(named, run).title).toBe('staging: reset full to a backup started')
    expect(textOfRefused(named, run, { name: 'RunActive', message: 'Another one' }).title).toBe(
      'staging: reset full to a backup could not begin',
    )
  })

  test('says of a failure what is to be done, and which backup has what went', () => {
    const error = { name: 'CacheQuotaExceeded', message: 'The plan allows no more' }
    const failed = { ...outcome, status: 'failed', warnings: [], error }
    const { lines } = textOfEnd(named, rowOf({ status: 'failed', outcome: failed }), ['failed'])
    expect(lines[0]).toBe('CacheQuotaExceeded: The plan allows no more')
    expect(lines).toContain('To put back what was wiped: 2026-11-22T19-05-33Z-3f9a2c')
  })

  test('of a run that left no outcome says who called it off, or that nobody knows', () => {
    const failure = {
      error: 'Cancelled',
      message: 'Cancelled by anna in the step "Seal". Nothing was wiped',
      phase: 'Seal',
    }
    const cancelled = textOfEnd(named, rowOf({ status: 'cancelled', outcome: null, failure }), ['failed'])
    expect(cancelled.lines).toEqual(['Cancelled: Cancelled by anna in the step "Seal". Nothing was wiped'])
    const abandoned = textOfEnd(named, rowOf({ status: 'abandoned', outcome: null }), ['failed'])
    expect([abandoned.title, abandoned.lines.length]).toEqual(['staging: reset full abandoned', 1])
    // Another version's outcome, or what is none.
    expect(textOfEnd(named, rowOf({ status: 'failed', outcome: { a: 1 } }), ['failed']).lines).toHaveLength(1)
  })

  test('shows what a viewer would obey', () => {
    const error = { name: 'SchemaChanged', message: 'public.\u202etxt\u0007' }
    const { lines } = textOfRefused(named, { operation: 'reset', strategy: 'full' }, error)
    expect(lines).toEqual(['SchemaChanged: public.\\u202etxt\\u0007'])
  })

  test('wakes nobody in a chat, whatever is called like all of a channel', () => {
    const text = textForChat('public."<!channel> & @here" @everyone ops@example.com')
    expect(text).toBe('public."&lt;!channel&gt; &amp; @\u200bhere" @\u200beveryone ops@\u200bexample.com')
  })

  test('has a subject that a topic takes, however long the names in it are', () => {
    const subject = subjectOf(
      `${'x'.repeat(39)}: reset-to cache-only succeeded — ${'y'.repeat(99)}\r\nBcc: a`,
    )
    expect(subject).toMatch(/^[ -~]{99}$/) // fewer than 100 characters
    expect(subjectOf('a\r\nBcc: é')).toBe('a??Bcc: ?')
  })

  test('has no link where the page has no address', () => {
    const nowhere = { ENVIRONMENT: 'staging', PAGE_URL: undefined }
    const run = { runId: 'a', operation: 'backup', strategy: null }
    expect(textOfStart(nowhere, run)).toEqual({ title: 'staging: backup started', lines: [], url: null })
    expect(textOfNoBackup(named, 'the-alarm')).toMatchObject({ url: 'https://ops.example/' })
  })
})

describe('of what an execution was started with', () => {
  const of = (input: string | null) =>
    requestOf({ stateMachineArn: 'arn', name: 'n', status: 'RUNNING', input })

  test('the operation is read, and nothing else', () => {
    const request = {
      operation: 'reset',
      strategy: 'full',
      to: 'baseline',
      confirm: 'hunter2',
      requestedBy: 'hunter2',
    }
    expect(of(JSON.stringify(request))).toEqual({ operation: 'reset-to', strategy: 'full', dryRun: false })
  })

  test.each([null, '', '{', '[]', '"x"', '{"operation":"hunter2"}'])(
    '%s is nothing that is told',
    (input) => {
      expect(of(input)).toBeNull()
    },
  )
})
