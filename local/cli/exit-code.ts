import { type ErrorKind, errorKinds } from '../../lib/errors.ts'

/**
 * Every exit code of the CLI, as `--help` lists them.
 * @see docs/decisions.md#an-unreachable-store-is-a-failure-not-a-refusal
 */
export const exitCodes = {
  0: 'succeeded, with or without warnings; of a dry run: the run would not be refused',
  1: 'the run failed, or a store cannot be reached',
  2: 'the request or the configuration is wrong, or would be; nothing was touched',
  3: 'refused by a guard, or would be; nothing was touched',
  4: 'another run is active; its id is in the message',
  130: 'Ctrl-C: the run was cancelled, or goes on, or was stopped with this process; the message says which',
} as const
export type ExitCode = keyof typeof exitCodes

export const codeOfKind: Record<ErrorKind, ExitCode> = { failure: 1, request: 2, guard: 3, busy: 4 }

/** The exit code for an error by its name, which is all that an execution tells of it. */
export function exitCodeOf(errorName: string): ExitCode {
  return codeOfKind[errorKinds.get(errorName) ?? 'failure']
}
