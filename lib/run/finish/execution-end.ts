import * as z from 'zod'

/**
 * "Step Functions Execution Status Change", as EventBridge delivers it. `error` and `cause` are null or missing when
 * nobody gave any; input and output, which may hold what a caller sent, are not read.
 */
export const EndedInput = z.object({
  'detail-type': z.literal('Step Functions Execution Status Change'),
  detail: z.object({
    executionArn: z.string().min(1),
    /** The execution's name, which is the run's id. */
    name: z.string().min(1),
    status: z.enum(['FAILED', 'TIMED_OUT', 'ABORTED']),
    error: z.string().nullish(),
    cause: z.string().nullish(),
  }),
})

const names = { FAILED: 'ExecutionFailed', TIMED_OUT: 'ExecutionTimedOut', ABORTED: 'ExecutionAborted' }
const ends = { FAILED: 'failed', TIMED_OUT: 'took too long', ABORTED: 'was stopped' }

/** The error that the run's outcome names, in the form of a Catch. */
export function failureOfEnded({
  executionArn,
  status,
  error,
  cause,
}: z.output<typeof EndedInput>['detail']): { Error: string; Cause: string } {
  const said = cause || 'nobody gave a reason'
  return {
    Error: error || names[status],
    Cause: `The execution ${executionArn} ${ends[status]} before it could finish the run: ${said}. What was done until then is said for each target; look at the execution's history, then start a new run`,
  }
}
