import type { Options } from '../../lib/http/answers/options.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import type { Target } from '../../lib/store.ts'
import { counted, isolated, listed } from '../numbers.ts'
import { shareOfTable, wipedBy } from './shares.ts'

export const storeNames: Record<Target, string> = {
  database: 'the database',
  files: 'the files',
  cache: 'the cache',
}

export const strategyTitles: Record<Strategy, string> = {
  full: 'Everything',
  'database-only': 'Database only',
  'files-only': 'Files only',
  'cache-only': 'Cache only',
}

/** Of tables, kept rows and the like only the first are told when there are too many for one answer. */
export const notAllAreShown =
  'There are more tables than one answer holds: not all are shown, and rows are counted of those that are.'

/** What a strategy wipes, also of a store that cannot be counted now: it may be there again when the wipe comes. */
export function goesWith(options: Options, strategy: Strategy): string {
  const wiped = wipedBy(options, strategy)
  const uncounted = scopeOf(strategy)
    .clears.filter((target) => !options[target].available)
    .map((target) => `${storeNames[target]} (not counted)`)
  return [listed(wiped, wiped.estimated), ...uncounted].filter((text) => text !== '').join(', ')
}

/** The reset button says what it does. */
export function resetLabel(options: Options, strategy: Strategy): string {
  return `Back up and wipe ${goesWith(options, strategy)}`
}

/** What a strategy leaves: whole stores, then what is preserved in those that it clears. */
export function staysWith(options: Options, strategy: Strategy): string[] {
  const { clears, preserves } = scopeOf(strategy)
  const { database, files, cache } = options
  const stays = preserves.map((target) => `all of ${storeNames[target]}`)
  if (clears.includes('database') && database.available) {
    for (const table of database.tables) {
      const { stays: rows, estimated } = shareOfTable(table)
      const isWhole = table.action === 'kept'
      if (rows > 0 || isWhole) stays.push(`${counted(rows, 'row', estimated)} of ${isolated(table.name)}`)
    }
    if (database.unmanaged.length > 0) stays.push(counted(database.unmanaged.length, 'unmanaged table'))
  }
  if (clears.includes('files') && files.available && files.preservedObjects > 0)
    stays.push(preserved(files.preservedObjects, 'file', files.approximate))
  if (clears.includes('cache') && cache.available && cache.preservedKeys > 0)
    stays.push(preserved(cache.preservedKeys, 'key', cache.approximate))
  return stays
}

function preserved(count: number, one: string, estimated: boolean): string {
  return `${counted(count, one, estimated)} that ${count === 1 ? 'is' : 'are'} preserved`
}

/** How the backup of each store is proved, and what becomes of what is written to it while the reset runs. */
const proofs: Record<Target, string> = {
  database:
    'the rows are read back, loaded into a scratch schema and compared, or only read back where the database is too large for that',
  files: 'the copies that S3 makes of the files are all found again, with the size and ETag it gave them',
  cache: 'what is written of the keys is read back',
}
const meanwhile: Record<Target, string> = {
  database:
    'Rows that are written until the tables are locked for it go too; they are added to the backup first.',
  files: 'Files that are written meanwhile stay, and are told.',
  cache:
    'Keys that change before they are deleted are added to the backup first; one that is written again later stays.',
}

/** What the dialog says before anybody types the environment's name. */
export function consequencesOf(options: Options, strategy: Strategy): string[] {
  const stays = staysWith(options, strategy)
  const { clears } = scopeOf(strategy)
  const list = new Intl.ListFormat('en')
  return [
    `First a backup is taken of ${list.format(clears.map((target) => storeNames[target]))}, also of what is preserved, and proved: ${clears.map((target) => proofs[target]).join('; ')}. If that fails, nothing is wiped.`,
    `Then what is there is wiped from ${options.environment}: ${goesWith(options, strategy)}. ${clears.map((target) => meanwhile[target]).join(' ')}`,
    ...(options.abridged && clears.includes('database') ? [notAllAreShown] : []),
    stays.length === 0
      ? 'Nothing of these stores stays but the ledger of the runs and the name of the environment.'
      : `What stays: ${list.format(stays)}.`,
    'It can be cancelled until the wipe begins. After that, a restore of the backup puts back what was wiped.',
  ]
}
