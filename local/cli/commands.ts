/** Every option of the CLI: how parseArgs reads it, and what `--help` says. */
export const optionTexts = {
  help: { type: 'boolean', short: 'h', says: 'show this help' },
  json: { type: 'boolean', says: 'one JSON document on stdout; everything else goes to stderr' },
  confirm: { type: 'string', value: 'name', says: "the environment's name, in place of typing it" },
  'dry-run': { type: 'boolean', says: 'plan and count only; nothing is written to a store or a backup' },
  'no-backup': { type: 'boolean', says: 'wipe without a backup: what is gone cannot come back' },
  'preserve-table': {
    type: 'string',
    multiple: true,
    value: 'name',
    says: 'a table that is not wiped; repeatable',
  },
  'preserve-file': {
    type: 'string',
    multiple: true,
    value: 'prefix',
    says: 'files below this prefix of FILES_PREFIX are not wiped; repeatable',
  },
  'preserve-key': {
    type: 'string',
    multiple: true,
    value: 'pattern',
    says: 'cache keys that match are not wiped (glob); repeatable',
  },
  'idempotency-key': {
    type: 'string',
    value: 'key',
    says: 'the same key again returns the first run instead of starting another',
  },
  request: {
    type: 'string',
    value: 'json|@file|-',
    says: 'the whole request as JSON, in place of the other options; "-" reads stdin',
  },
} as const satisfies Record<string, OptionText>

type OptionText = {
  type: 'boolean' | 'string'
  short?: string
  multiple?: boolean
  value?: string
  says: string
}
export type OptionName = keyof typeof optionTexts

export type Command = {
  says: string
  /** What stands after the command; in [] when it may be left out. */
  argument?: string
  options: readonly OptionName[]
}

const common = ['json', 'help'] as const
const run = [
  'preserve-table',
  'preserve-file',
  'preserve-key',
  'dry-run',
  'idempotency-key',
  'request',
  ...common,
] as const

export const commands = {
  options: { says: 'what can be reset, what that clears and preserves, and live counts', options: common },
  backup: { says: 'take a sealed backup; nothing is wiped', argument: '[strategy]', options: run },
  reset: {
    says: 'back up and wipe; shows what goes and what stays, and asks for the name of the environment',
    argument: '<strategy>',
    options: ['confirm', 'no-backup', ...run],
  },
  backups: { says: 'the sealed backups, newest first', options: common },
  runs: { says: 'the runs, newest first; with an id, that run', argument: '[id]', options: common },
  claim: {
    says: "write the environment's name into the three stores, so that runs are allowed on them",
    options: ['confirm', 'idempotency-key', 'request', ...common],
  },
} as const satisfies Record<string, Command>
export type CommandName = keyof typeof commands
