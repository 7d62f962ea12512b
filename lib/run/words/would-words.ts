import { counted } from '../../amounts.ts'
import { operationOf, saidAs } from '../../operations.ts'
import type { Words, WouldLine } from '../../store/words.ts'
import { type Target, targets } from '../../store.ts'
import { type ToldStores, words } from '../../stores/words.ts'
import { isWritten, storesIn } from './held.ts'
import type { WouldDo } from './would-do.ts'

/**
 * A line per table, and one for each other store, of those that the run would act on.
 * @see docs/decisions.md#a-sentence-is-made-from-what-is-known
 */
export function wouldLines(wouldDo: WouldDo, operation: string): WouldLine[] {
  return targets.flatMap((target) => {
    const would = wouldDo[target]
    return would === null ? [] : linesOf(target, would, { restores: wouldDo.restores, operation })
  })
}

function linesOf<T extends Target>(
  target: T,
  would: ToldStores[T]['would'],
  run: { restores: WouldDo['restores']; operation: string },
): WouldLine[] {
  const told = words[target]
  if (told.parts !== undefined) return told.parts.would(would)
  return [{ what: target, holds: told.amount(would), would: fateOf(told, would, run) }]
}

function fateOf<T extends Target>(
  { unit, count, kept, back }: Extract<Words<ToldStores[T]>, { parts?: never }>,
  would: ToldStores[T]['would'],
  { restores, operation }: { restores: WouldDo['restores']; operation: string },
): string {
  if (operationOf(operation)?.changes === null) return 'would be backed up, and stay'
  const stays = count(kept(would))
  if (restores !== null) {
    const but = stays === 0 ? '' : ` but for ${counted(stays, unit)}`
    const others = restores.exact ? `others would be removed${but}` : 'others would stay'
    return `the ${counted(back(restores), unit)} of the backup would be put back; ${others}`
  }
  return stays === 0 ? 'would be wiped' : `would be wiped but for ${counted(stays, unit)}`
}

/** How what goes would be backed up first, or that it would not. */
export function wouldBackUp(wouldDo: WouldDo, operation: string): string {
  if (!wouldDo.backsUp) return 'NO BACKUP would be taken first: what goes could not come back.'
  const taking = storesIn(wouldDo)
  const changes = operationOf(operation)?.changes
  const backup = changes === null ? 'The backup' : 'First a backup of what is there now'
  const taken = `${backup} would be ${isWritten(taking) ? `written, ${proofOf(wouldDo)}` : 'taken'}`
  const condition = changes === null ? '' : `; without it nothing would be ${changes ?? 'wiped'}`
  return [`${taken}${condition}.`, ...taking.flatMap((target) => words[target].copied ?? [])].join(' ')
}

function proofOf({ rehearses, database }: WouldDo): string {
  if (database === null) return 'and read back byte for byte'
  return rehearses
    ? 'read back byte for byte, loaded into a scratch schema, and compared row by row, but for what an earlier one proved lately'
    : 'and read back byte for byte, but not loaded'
}

/** That hooks would be called; null: none would. Which, is not known where it is planned: what they are holds secrets. */
export function wouldCall({ hooks }: WouldDo, operation: string): string | null {
  if (!hooks) return null
  return `Hooks are configured: those that are meant for it would be called before and after the ${saidAs(operation)}; the dry run called none.`
}

/** `would be refused: …`, with the error's name and what to do; null when nothing known now would refuse it. */
export function wouldBeRefused({ refusal }: Pick<WouldDo, 'refusal'>): string | null {
  return refusal && `would be refused: ${refusal.name}: ${refusal.message}`
}

/** The stores that would be left alone: said, so that nobody has to infer it from a line that is missing. */
export function wouldLeave(wouldDo: WouldDo): Target[] {
  return targets.filter((target) => wouldDo[target] === null)
}
