import type { OptionName } from './options.ts'

export type Command = {
  says: string
  /** What stands after the command; in [] when it may be left out. */
  argument?: string
  /** What may stand behind it. */
  second?: string
  options: readonly OptionName[]
}

/** Of all, also those that the HTTP API does not do. */
export const alone = ['json', 'help'] as const
export const common = ['api', 'token-file', ...alone] as const
/** Of those that start a run. */
export const any = [
  'rehearse',
  'rehearse-all',
  'no-rehearse',
  'full',
  'dry-run',
  'idempotency-key',
  'request',
  ...common,
] as const
