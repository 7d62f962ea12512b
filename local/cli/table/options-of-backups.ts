import type { OptionText } from './option-text.ts'

/** What is wiped, what of it is backed up, and how that is proved. */
export const optionsOfBackups = {
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
  to: {
    type: 'string',
    value: 'backup',
    says: 'go back to this backup in place of zero: its label, its id or the beginning of it, latest, latest-rehearsed',
    field: 'to',
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
} as const satisfies Record<string, OptionText>
