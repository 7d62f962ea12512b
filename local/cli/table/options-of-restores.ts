import { putBeside } from '../../../lib/run/words/now-and-after.ts'
import { targets } from '../../../lib/store.ts'
import type { OptionText } from './option-text.ts'

/** What of a backup is put back, and which one is believed. */
export const optionsOfRestores = {
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
  ttl: {
    type: 'string',
    value: 'relative|absolute',
    says: 'cache keys live as long as they had when the backup was taken (a reset does so), or until the moment that it names (a restore does so)',
    field: 'ttl',
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
  'no-safety-backup': {
    type: 'boolean',
    says: 'do not back up first what is replaced: it cannot come back',
    field: 'safetyBackup',
    means: false,
  },
} as const satisfies Record<string, OptionText>
