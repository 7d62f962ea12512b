import { describe, expect, test } from 'vitest'
import { causeOfEnd } from '../../../lib/executions/cause.ts'
import { run } from '../../../lib/http/document/examples.ts'
import { outcomeOf, outcomeWithoutRow } from '../../../local/cli/run/outcome-of.ts'
import type { StepProgress } from '../../../local/cli/run/steps.ts'
import { at, row } from '../row.ts'

const config = { BACKUP_BUCKET: 'backups', BACKUP_PREFIX: 'kept/' }

describe('a run that left no outcome', () => {
  test('is one that failed, with the states that the ledger tells, and with what is not known', () => {
    const lost = outcomeOf({ ...row, status: 'abandoned', phase: 'Wipe files', wiped: {} }, config)
    expect(lost).toMatchObject({
      ...{ status: 'failed', backupId: 'b', backupPrefix: 's3://backups/kept/b/' },
      targets: { database: { state: 'wiped' }, files: { state: 'unknown' }, cache: { state: 'untouched' } },
      error: { name: 'RunLost' },
      ...{ startedAt: at(0).toISOString(), finishedAt: at(20).toISOString() },
    })
    expect(lost.error?.message).toMatch(
      /^Run r is abandoned in Wipe files and gave its last sign of life at 2026-11-22 19:05:20 UTC\. How far it got is not known; /,
    )
    const early = outcomeOf({ ...row, status: 'abandoned', finishedAt: at(40) }, config)
    expect(early).toMatchObject({ backupId: null, backupPrefix: null, finishedAt: at(40).toISOString() })
    expect(early.error?.message).not.toContain('not known')
  })

  test('says who called it off', () => {
    const failure = { error: 'Cancelled', message: 'Cancelled by cli root' }
    expect(outcomeOf({ ...row, status: 'cancelled', failure }, config).error).toEqual({
      ...{ name: 'Cancelled', message: 'Cancelled by cli root' },
    })
    expect(outcomeOf({ ...row, status: 'failed', outcome: run.outcome }, config)).toEqual(run.outcome)
  })

  const execution = {
    ...{ $metadata: {}, executionArn: 'x', stateMachineArn: 'y', status: 'FAILED' as const },
    ...{ error: 'LimitExceeded', cause: JSON.stringify({ errorMessage: 'Too much' }) },
    ...{ startDate: at(1), stopDate: at(2) },
    input: JSON.stringify({ operation: 'restore', dryRun: false }),
  }
  const step = (name: string): StepProgress => ({
    ...{ name, state: 'failed', startedAt: at(1), endedAt: at(2), waiting: undefined, fraction: undefined },
  })

  test('nor a row has touched nothing, but where a step had begun to', () => {
    const refused = outcomeWithoutRow('r', execution, [step('Count')])
    expect(refused).toMatchObject({
      ...{ operation: 'restore', strategy: null, status: 'failed', backupId: null, warnings: [] },
      targets: { database: { state: 'untouched' }, files: { state: 'untouched' } },
      error: { name: 'LimitExceeded', message: 'Too much' },
      ...{ startedAt: at(1).toISOString(), finishedAt: at(2).toISOString() },
    })
    expect(refused.dryRun).toBeUndefined()
    const begun = ['Restore files', 'Wipe cache'].map(step)
    expect(outcomeWithoutRow('r', execution, begun).targets).toMatchObject({
      ...{ database: { state: 'untouched' }, files: { state: 'unknown' }, cache: { state: 'unknown' } },
    })
    const nobody = outcomeWithoutRow('r', undefined, [])
    expect(nobody.error).toEqual({ name: 'NotFound', message: 'There is no run r' })
  })

  test('nor a row, and was a dry run, says whether it is refused', () => {
    const input = JSON.stringify({ operation: 'reset', strategy: 'full', dryRun: true })
    const refusal = { name: 'LimitExceeded', message: 'Too much' }
    expect(outcomeWithoutRow('r', { ...execution, input }, [])).toMatchObject({ dryRun: true, refusal })
    const down = { ...execution, input, error: 'StoreUnavailable' }
    expect(outcomeWithoutRow('r', down, [])).toMatchObject({ dryRun: true, refusal: null })
  })

  test('has as its cause what Lambda reports, or the text, or how it ended', () => {
    const cause = (more: object) => causeOfEnd({ ...execution, ...more })
    expect(cause({})).toBe('Too much')
    expect(cause({ cause: 'by hand' })).toBe('by hand')
    expect(cause({ cause: undefined, status: 'ABORTED' })).toBe('The execution ended ABORTED without a cause')
  })
})
