import { alone, type Command, common } from './command.ts'

/** What is done with a backup that there is, or with all. */
export const onBackups = {
  backups: { says: 'the sealed backups, newest first, and how they were proved', options: common },
  verify: {
    says: 'read every object of a backup and compare; with --rehearse load it and compare every row',
    argument: '<backupId>',
    options: ['rehearse', 'allow-foreign', 'allow-unsigned', 'idempotency-key', 'request', ...common],
  },
  diff: {
    says: 'what became of each table, the files and the cache since a backup, or to another one; nothing is changed',
    argument: '<backupId>',
    second: '[backupId]',
    options: ['rows', 'limit', 'allow-foreign', 'allow-unsigned', 'idempotency-key', 'request', ...common],
  },
  delete: {
    says: 'delete one backup; not the newest, the newest rehearsed, or a pinned one',
    argument: '<backupId>',
    options: ['confirm', 'idempotency-key', 'request', ...common],
  },
  pin: {
    says: 'keep a backup from being deleted, by prune or by hand',
    argument: '<backupId>',
    options: ['allow-foreign', ...common],
  },
  unpin: {
    says: 'let a backup be deleted again',
    argument: '<backupId>',
    options: ['allow-foreign', ...common],
  },
  label: {
    says: 'give a backup a name that a reset can go back to, and that keeps it; --note says more of it',
    argument: '<backupId>',
    second: '[name]',
    options: ['note', 'remove', ...common],
  },
  download: {
    says: 'bring a backup into a folder, as plain files that psql can load; once more goes on where it stopped',
    argument: '<backupId>',
    second: '<folder>',
    options: ['format', 'allow-foreign', 'allow-unsigned', ...common],
  },
  upload: {
    says: 'make a backup of the folder of a download: a new one, signed here, loaded and compared before there is one',
    argument: '<folder>',
    options: common,
  },
  prune: {
    says: 'which backups the retention keeps, and why; deletes the others when told to',
    options: ['delete', ...alone],
  },
} as const satisfies Record<string, Command>
