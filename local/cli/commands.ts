import { putBeside } from '../../lib/run/words/now-and-after.ts'
import { howMany, targets } from '../../lib/store.ts'

/** Every option of the CLI: how parseArgs reads it, what `--help` says, and which field of a request it stands for. */
export const optionTexts = {
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
  'no-backup': {
    type: 'boolean',
    says: 'wipe without a backup: what is gone cannot come back',
    field: 'backup',
    means: false,
  },
  'preserve-table': {
    type: 'string',
    multiple: true,
    value: 'name',
    says: 'a table that is not wiped; repeatable',
    field: 'preserve.tables',
  },
  'preserve-file': {
    type: 'string',
    multiple: true,
    value: 'prefix',
    says: 'files below this prefix of FILES_PREFIX are not wiped; repeatable',
    field: 'preserve.files',
  },
  'preserve-key': {
    type: 'string',
    multiple: true,
    value: 'pattern',
    says: 'cache keys that match are not wiped (glob); repeatable',
    field: 'preserve.keys',
  },
  target: {
    type: 'string',
    multiple: true,
    value: 'store',
    says: `${new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(targets)}, if not all that the backup holds; repeatable`,
    field: 'targets',
  },
  exact: { type: 'boolean', says: `remove ${putBeside(targets)} that are not in the backup`, field: 'exact' },
  without: {
    type: 'string',
    multiple: true,
    value: 'name',
    says: 'put the others back without this table or sequence, which was dropped since; repeatable',
    field: 'without',
  },
  'into-empty': {
    type: 'boolean',
    says: 'make the tables first, as the backup tells it, in a database that has none of them; no replacement of migrations',
  },
  'allow-foreign': {
    type: 'boolean',
    says: 'although the backup is of another environment',
    field: 'allowForeign',
  },
  'allow-unsigned': {
    type: 'boolean',
    says: 'although no key of SIGNING_KEYS signed the backup: you know where it comes from',
    field: 'allowUnsigned',
  },
  to: {
    type: 'string',
    value: 'backup',
    says: 'go back to this backup in place of zero: its label, its id or the beginning of it, latest, latest-rehearsed',
    field: 'to',
  },
  ttl: {
    type: 'string',
    value: 'relative|absolute',
    says: 'cache keys live as long as they had when the backup was taken (a reset does so), or until the moment that it names (a restore does so)',
    field: 'ttl',
  },
  table: {
    type: 'string',
    multiple: true,
    value: 'name',
    says: 'put back only this table; repeatable',
    field: 'tables',
  },
  'include-parents': {
    type: 'boolean',
    says: 'with --table: also the tables that its foreign keys point to',
    field: 'includeParents',
  },
  file: {
    type: 'string',
    multiple: true,
    value: 'prefix',
    says: 'put back only files below this prefix of FILES_PREFIX; repeatable',
    field: 'files',
  },
  key: {
    type: 'string',
    multiple: true,
    value: 'pattern',
    says: 'put back only cache keys that match (glob); repeatable',
    field: 'keys',
  },
  label: {
    type: 'string',
    value: 'name',
    says: 'call the new backup by this name, which another loses; it is kept as long as it has it',
    field: 'label',
  },
  note: {
    type: 'string',
    value: 'text',
    says: 'what is to be known of the backup',
    field: 'note',
  },
  pin: { type: 'boolean', says: 'keep the new backup for good', field: 'pin' },
  remove: { type: 'boolean', says: 'take the labels and the note of the backup away' },
  'no-safety-backup': {
    type: 'boolean',
    says: 'do not back up first what is replaced: it cannot come back',
    field: 'safetyBackup',
    means: false,
  },
  rehearse: {
    type: 'boolean',
    says: 'load the backup into a scratch schema and compare; of a new one not what was taken over and proved lately',
    field: 'rehearse',
  },
  'no-rehearse': {
    type: 'boolean',
    says: 'only read the backup back; default: by REHEARSE_MAX_BYTES',
    field: 'rehearse',
    means: false,
  },
  'rehearse-all': {
    type: 'boolean',
    says: 'load and compare every row, also what was taken over and proved lately',
    field: 'rehearse',
    means: 'all',
  },
  full: {
    type: 'boolean',
    says: 'take nothing over from an earlier backup: export everything',
    field: 'takeOver',
    means: false,
  },
  format: {
    type: 'string',
    value: 'files|json',
    says: 'files: rows, files and keys, and a script for psql (default); json: one document of all rows',
  },
  delete: { type: 'boolean', says: 'really delete; without it prune only says what would go, and why' },
  'idempotency-key': {
    type: 'string',
    value: 'key',
    says: 'the same key again returns the first run instead of starting another',
    field: 'idempotencyKey',
  },
  rows: {
    type: 'string',
    value: 'table',
    says: 'tell the first rows of this table that a restore would remove, bring back or change',
    field: 'rows.table',
  },
  limit: {
    type: 'string',
    value: 'number',
    says: 'so many: of runs, up to 100 (default 50); with --rows of each kind of rows, up to 100 (default 20)',
    field: 'rows.limit',
    isNumber: true,
  },
  before: {
    type: 'string',
    value: 'runId',
    says: 'the runs that began before this one: the next page of the list',
  },
  scopes: {
    type: 'string',
    value: 'scope,…',
    says: 'what the token may do: read, backup, reset, restore, delete',
  },
  expires: {
    type: 'string',
    value: 'days|time',
    says: 'when the token expires: in so many days (90d), or at a time (2027-03-01T00:00:00Z); default: never',
  },
  request: {
    type: 'string',
    value: 'json|@file|-',
    says: 'the whole request as JSON, in place of the other options; "-" reads stdin',
  },
} as const satisfies Record<string, OptionText>

export type OptionText = {
  type: 'boolean' | 'string'
  short?: string
  multiple?: boolean
  value?: string
  says: string
  /** Of a request; with a dot, in an object of it. */
  field?: string
  /** What the option says by being there; without it, what follows it, or `true`. */
  means?: unknown
  /** What follows it is a number. */
  isNumber?: boolean
}
export type OptionName = keyof typeof optionTexts

/** What was said with each option. */
export type Flags = { [Name in OptionName]?: Said<(typeof optionTexts)[Name]> }
type Said<Text extends OptionText> = Text extends { type: 'boolean' }
  ? boolean
  : Text extends { multiple: true }
    ? string[]
    : string

export type Command = {
  says: string
  /** What stands after the command; in [] when it may be left out. */
  argument?: string
  /** What may stand behind it. */
  second?: string
  options: readonly OptionName[]
}

const alone = ['json', 'help'] as const
const common = ['api', 'token-file', ...alone] as const
const any = [
  'rehearse',
  'rehearse-all',
  'no-rehearse',
  'full',
  'dry-run',
  'idempotency-key',
  'request',
  ...common,
] as const
const run = ['preserve-table', 'preserve-file', 'preserve-key', ...any] as const

export const commands = {
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
  completion: {
    says: 'what bash, zsh or fish needs to complete commands and options',
    argument: '<shell>',
    options: alone,
  },
  help: { says: 'this help, or that of a command', argument: '[command]', options: alone },
} as const satisfies Record<string, Command>
export type CommandName = keyof typeof commands
