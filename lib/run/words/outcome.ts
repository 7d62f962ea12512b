import { bytes, counted } from '../../amounts.ts'
import type { Target, TargetState } from '../../store.ts'
import { type ToldStores, words } from '../../stores/words.ts'
import type { Outcome } from '../outcome.ts'

/** The states of a target, as people read them. */
export const stateWords: Record<TargetState, string> = {
  untouched: 'untouched',
  backed_up: 'backed up',
  wiped: 'wiped',
  partly_wiped: 'partly wiped',
  restored: 'restored',
  partly_restored: 'partly restored',
  unknown: 'not known',
}

/** How much of a target its state is about; nothing for one that was left alone, or of which nothing is known. */
export function amountOf({ targets }: Outcome, target: Target): string {
  const { state } = targets[target]
  if (state === 'untouched' || state === 'unknown') return ''
  const known =
    state === 'partly_wiped' ? 'known to be gone: ' : state === 'partly_restored' ? 'known to be back: ' : ''
  return `${known}${amountOfStore(target, targets[target])}`
}

/** How much was backed up, wiped or put back of a store. */
export function amountOfStore<T extends Target>(target: T, counts: ToldStores[T]['amount']): string {
  const { amount, outcome = amount } = words[target]
  return outcome(counts)
}

/** What a verify or a delete found or did, with the backup it is about. */
export function subjectSentence({
  backupId,
  state,
  objects,
  bytes: size,
}: NonNullable<Outcome['subject']>): string {
  const all = `${counted(objects, 'object')}, ${bytes(size)}`
  const read = `The backup ${backupId} was read, ${all}: every object is what was written`
  const sentences: typeof state extends infer State extends string ? Record<State, string> : never = {
    verified: `${read}.`,
    rehearsed: `${read}, and every row was loaded and is the one that was backed up.`,
    damaged: `The backup ${backupId} is damaged: ${all} were read, and not all of it is what was written.`,
    deleted: `The backup ${backupId} is deleted: ${all}.`,
    partly_deleted: `The backup ${backupId} is no backup any more; what is left of its objects is deleted by the next prune.`,
    kept: `The backup ${backupId} is kept as it was.`,
    unknown: `What the backup ${backupId} is worth could not be told.`,
  }
  return sentences[state]
}
