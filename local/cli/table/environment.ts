import { howMany } from '../../../lib/store.ts'
import { alone, type Command, common } from './command.ts'

/** The runs of the environment, whose it is, who may use it, and what begins by itself. */
export const onEnvironment = {
  cancel: {
    says: 'call a run off; possible until it wipes, restores or deletes',
    argument: '<runId>',
    options: common,
  },
  runs: {
    says: 'the runs, newest first; with an id, that run',
    argument: '[id]',
    options: ['limit', 'before', ...common],
  },
  claim: {
    says: `write the environment's name into the ${howMany} stores, so that runs are allowed on them`,
    options: ['confirm', 'idempotency-key', 'request', ...common],
  },
  token: {
    says: 'make a token for the HTTP API; shown once, nothing is stored',
    argument: '<name>',
    options: ['scopes', 'expires', ...alone],
  },
  tokens: {
    says: 'the tokens of the HTTP API: what they may do, until when, and when they were last used',
    options: common,
  },
  status: {
    says: 'how old the newest proved backup is, what begins next, and how the last thirty nights ended',
    options: common,
  },
  schedule: { says: 'what begins by itself, and when next', options: common },
} as const satisfies Record<string, Command>
