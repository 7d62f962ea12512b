import type { OptionText } from './option-text.ts'

/** How the command line is asked and answers, whatever is done. */
export const optionsOfAll = {
  help: { type: 'boolean', short: 'h', says: 'show this help' },
  json: { type: 'boolean', says: 'one JSON document on stdout; everything else goes to stderr' },
  api: {
    type: 'string',
    value: 'address',
    says: 'ask the HTTP API there, with the token of --token-file or TASKMASTER_RESET_TOKEN, and no service itself',
  },
  'token-file': { type: 'string', value: 'file', says: 'with --api: the file that holds the token' },
  confirm: {
    type: 'string',
    value: 'name',
    says: "the environment's name, in place of typing it",
    field: 'confirm',
  },
  'dry-run': {
    type: 'boolean',
    says: 'plan and count only (of a restore also what it would change); nothing is written to a store or a backup',
    field: 'dryRun',
  },
  'idempotency-key': {
    type: 'string',
    value: 'key',
    says: 'the same key again returns the first run instead of starting another',
    field: 'idempotencyKey',
  },
  request: {
    type: 'string',
    value: 'json|@file|-',
    says: 'the whole request as JSON, in place of the other options; "-" reads stdin',
  },
} as const satisfies Record<string, OptionText>
