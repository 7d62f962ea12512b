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
  const ofBackup = ofBackupOfStore(target, targets[target])
  return `${known}${amountOfStore(target, targets[target])}${ofBackup === null ? '' : `; ${ofBackup}`}`
}

/** What there is to say of the backup that the run made of a store, not of what it did to the store; null: nothing. */
export function ofBackupOfStore<T extends Target>(target: T, counts: ToldStores[T]['amount']): string | null {
  return words[target].ofBackup?.(counts) ?? null
}

/** How much was backed up, wiped or put back of a store. */
export function amountOfStore<T extends Target>(target: T, counts: ToldStores[T]['amount']): string {
  const { amount, outcome = amount } = words[target]
  return outcome(counts)
}
