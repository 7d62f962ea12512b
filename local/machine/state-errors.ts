/** AWS's limit for the input or output of a task, a state or an execution: 256 KiB of UTF-8. */
export const MAX_PAYLOAD_BYTES = 262_144

/** What the interpreter reads of an error: Retry and Catch match `name`, and the message becomes the Cause. */
type StateError = Error & { isRetryable: boolean; isCatchable: boolean }

export function stateError(name: string, cause: string): StateError {
  return Object.assign(new Error(cause), { name, isRetryable: true, isCatchable: true })
}

/** An error that neither a Retry nor a Catch of States.ALL sees, as States.Runtime and States.DataLimitExceeded. */
export function terminalError(name: string, cause: string): StateError {
  return Object.assign(new Error(cause), { name, isRetryable: false, isCatchable: false })
}

export function dataLimitExceeded(stateName: string): StateError {
  return terminalError(
    'States.DataLimitExceeded',
    `The state/task '${stateName}' returned a result with a size exceeding the maximum number of bytes service limit.`,
  )
}

/** Ends what is left of a run that was stopped; nobody waits for it any more. */
export function stopped(): StateError {
  return terminalError('ExecutionStopped', 'The execution was stopped.')
}
