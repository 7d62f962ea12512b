import type { OptionText } from './option-text.ts'

/** What is shown, of what, and how much; and what one command alone has. */
export const optionsOfLooks = {
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
  format: {
    type: 'string',
    value: 'files|json',
    says: 'files: rows, files and keys, and a script for psql (default); json: one document of all rows',
  },
  remove: { type: 'boolean', says: 'take the labels and the note of the backup away' },
  delete: { type: 'boolean', says: 'really delete; without it prune only says what would go, and why' },
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
} as const satisfies Record<string, OptionText>
