import { bytes, counted } from '../../amounts.ts'
import { operationOf } from '../../operations.ts'
import { type Target, targets } from '../../store.ts'
import type { WouldDo } from './would-do.ts'

/** What a table or a store holds now, and what would happen to it. */
export type WouldLine = { what: string; holds: string; would: string }

type WouldTable = NonNullable<WouldDo['database']>['tables'][number]

/**
 * A line per table, then the files and the cache, of those stores that the run would act on.
 * @see docs/decisions.md#a-sentence-is-made-from-what-is-known
 */
export function wouldLines(wouldDo: WouldDo, operation: string): WouldLine[] {
  const { database, files, cache } = wouldDo
  return [
    ...(database?.tables ?? []).map((table) => ({
      what: table.name,
      holds: counted(table.rows, 'row'),
      would: fateOfTable(table),
    })),
    ...(files === null
      ? []
      : [
          {
            what: 'files',
            holds: `${counted(files.objects, 'file')}, ${bytes(files.bytes)}`,
            would: fateOfStore('files', wouldDo, operation),
          },
        ]),
    ...(cache === null
      ? []
      : [
          {
            what: 'cache',
            holds: counted(cache.keys, 'key'),
            would: fateOfStore('cache', wouldDo, operation),
          },
        ]),
  ]
}

function fateOfTable({ would, keptRows, rowsAfter }: WouldTable): string {
  if (would === 'backed up') return 'would be backed up, and stay'
  if (would === 'kept') return 'would stay'
  if (would === 'replaced') return `would be replaced by the ${counted(rowsAfter, 'row')} of the backup`
  return keptRows === 0 ? 'would be wiped' : `would be wiped but for ${counted(keptRows, 'row')}`
}

function fateOfStore(
  store: 'files' | 'cache',
  { files, cache, restores }: WouldDo,
  operation: string,
): string {
  if (operationOf(operation)?.changes === null) return 'would be backed up, and stay'
  const one = store === 'files' ? 'file' : 'key'
  if (restores !== null) {
    const held = counted(store === 'files' ? restores.objects : restores.keys, one)
    const others = restores.exact ? 'others would be removed' : 'others would stay'
    return `the ${held} of the backup would be put back; ${others}`
  }
  const kept = store === 'files' ? (files?.preservedObjects ?? 0) : (cache?.preservedKeys ?? 0)
  return kept === 0 ? 'would be wiped' : `would be wiped but for ${counted(kept, one)}`
}

/** How what goes would be backed up first, or that it would not. */
export function wouldBackUp(wouldDo: WouldDo, operation: string): string {
  const { backsUp, database, files, cache } = wouldDo
  if (!backsUp) return 'NO BACKUP would be taken first: what goes could not come back.'
  const isWritten = database !== null || cache !== null
  const changes = operationOf(operation)?.changes
  const backup = changes === null ? 'The backup' : 'First a backup of what is there now'
  const taken = `${backup} would be ${isWritten ? `written, ${proofOf(wouldDo)}` : 'taken'}`
  const condition = changes === null ? '' : `; without it nothing would be ${changes ?? 'wiped'}`
  return `${taken}${condition}.${files === null ? '' : copying}`
}

/** Rows and keys pass through our hands and are read back; files do not. */
const copying = ' S3 would copy the files, and each copy would be found again, with its size and ETag.'

function proofOf({ rehearses, database }: WouldDo): string {
  if (database === null) return 'and read back byte for byte'
  return rehearses
    ? 'read back byte for byte, loaded into a scratch schema, and compared row by row'
    : 'and read back byte for byte, but not loaded'
}

/** `would be refused: …`, with the error's name and what to do; null when nothing known now would refuse it. */
export function wouldBeRefused({ refusal }: Pick<WouldDo, 'refusal'>): string | null {
  return refusal && `would be refused: ${refusal.name}: ${refusal.message}`
}

/** The stores that would be left alone: said, so that nobody has to infer it from a line that is missing. */
export function wouldLeave(wouldDo: WouldDo): Target[] {
  return targets.filter((target) => wouldDo[target] === null)
}
