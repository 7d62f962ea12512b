import type { Options } from '../../lib/http/options.ts'
import { type Strategy, scopeOf, type Target } from '../../lib/run/strategy.ts'
import { counted, listed } from '../numbers.ts'
import { shareOfTable, type Wiped, wipedBy } from './contents.ts'

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

/** The reset button says what it does. */
export function resetLabel(wiped: Wiped): string {
  return `Back up and wipe ${listed(wiped, wiped.estimated) || 'nothing'}`
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
      if (rows > 0 || isWhole) stays.push(`${counted(rows, 'row', estimated)} of ${table.name}`)
    }
    if (database.unmanaged.length > 0) stays.push(counted(database.unmanaged.length, 'unmanaged table'))
  }
  if (clears.includes('files') && files.available && files.preservedObjects > 0)
    stays.push(`${counted(files.preservedObjects, 'file')} that are preserved`)
  if (clears.includes('cache') && cache.available && cache.preservedKeys > 0)
    stays.push(`${counted(cache.preservedKeys, 'key')} that are preserved`)
  return stays
}

/** What the dialog says before anybody types the environment's name. */
export function consequencesOf(options: Options, strategy: Strategy): string[] {
  const wiped = wipedBy(options, strategy)
  const stays = staysWith(options, strategy)
  return [
    `First a backup is taken of all that goes, and proved: every object is read back, and the rows are loaded and compared unless the database is too large for it. If anything fails, nothing is wiped.`,
    `Then what is there is wiped from ${options.environment}: ${listed(wiped, wiped.estimated) || 'nothing'}. Rows written meanwhile go too; they are added to the backup first.`,
    stays.length === 0
      ? 'Nothing of these stores stays but the ledger of the runs and the name of the environment.'
      : `What stays: ${new Intl.ListFormat('en').format(stays)}.`,
    'It can be cancelled until the wipe begins. After that, a restore of the backup puts everything back.',
  ]
}
