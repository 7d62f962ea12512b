import { any, type Command, common } from './command.ts'

const run = ['preserve-table', 'preserve-file', 'preserve-key', ...any] as const

/** What looks at the stores, backs them up, wipes them or puts them back. */
export const onStores = {
  options: { says: 'what can be reset, what that clears and preserves, and live counts', options: common },
  backup: {
    says: 'take a sealed backup; nothing is wiped',
    argument: '[strategy]',
    options: ['label', 'note', 'pin', ...run],
  },
  reset: {
    says: 'back up and wipe, or with --to go back to a backup; shows what goes and what stays, and asks for the name of the environment',
    argument: '<strategy>',
    options: ['to', 'ttl', 'confirm', 'no-backup', ...run],
  },
  restore: {
    says: 'put a backup back; what is there now is backed up first',
    argument: '<backupId>',
    options: [
      'confirm',
      'target',
      'exact',
      ...(['table', 'include-parents', 'without', 'file', 'key', 'ttl'] as const),
      'into-empty',
      'allow-foreign',
      'allow-unsigned',
      'no-safety-backup',
      ...any,
    ],
  },
} as const satisfies Record<string, Command>
