import { utc } from '../../lib/amounts.ts'
import type { Options } from '../../lib/http/answers/options.ts'
import { type Strategy, scopeOf, strategies } from '../../lib/run/strategy.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { listed } from '../numbers.ts'
import { stores } from '../stores/stores.ts'
import type { Baseline } from './goal.ts'
import { foundIn, wipedBy } from './shares.ts'

const list = new Intl.ListFormat('en')

/** Of one that this version does not know, its name. */
export function titleOf(strategy: string): string {
  const known = strategies.find((name) => name === strategy)
  if (known === undefined) return strategy
  return known === 'full'
    ? 'Everything'
    : `${scopeOf(known).clears.map((target) => stores[target].title)} only`
}

/** Of tables, kept rows and the like only the first are told when there are too many for one answer. */
export const notAllAreShown =
  'There are more tables than one answer holds: not all are shown, and rows are counted of those that are.'

/** What a strategy wipes, also of a store that cannot be counted now: it may be there again when the wipe comes. */
function goesWith(options: Options, strategy: Strategy): string {
  const wiped = wipedBy(options, strategy)
  const uncounted = scopeOf(strategy)
    .clears.filter((target) => !options[target].available)
    .map((target) => `${stores[target].name} (not counted)`)
  return [listed(wiped, wiped.estimated), ...uncounted].filter((text) => text !== '').join(', ')
}

/** The reset button says what it does. */
export function resetLabel(options: Options, strategy: Strategy): string {
  return `Back up and wipe ${goesWith(options, strategy)}`
}

/** What a strategy leaves: whole stores, then what is preserved in those that it clears. */
export function staysWith(options: Options, strategy: Strategy): string[] {
  const { clears, preserves } = scopeOf(strategy)
  return [
    ...preserves.map((target) => `all of ${stores[target].name}`),
    ...clears.flatMap((target) => staysOf(options, target)),
  ]
}

function staysOf<T extends Target>(options: Options, target: T): string[] {
  const found = foundIn(options, target)
  return found === null ? [] : stores[target].stays(found)
}

/** What of the stores that it clears a strategy leaves: what is preserved. */
export function keptBy(options: Options, strategy: Strategy): string[] {
  return scopeOf(strategy).clears.flatMap((target) => staysOf(options, target))
}

/** The button of a reset that goes back to a backup says what comes. */
export function backLabel(baseline: Baseline, strategy: Strategy): string {
  return `Back up, then go back to ${baseline.label}: ${listed(heldOf(baseline, strategy))}`
}

function heldOf(baseline: Baseline, strategy: Strategy): Baseline {
  const others = targets.filter((target) => !scopeOf(strategy).clears.includes(target))
  return { ...baseline, ...Object.fromEntries(others.map((target) => [words[target].total, null])) }
}

/** What the dialog says of a reset to a backup before anybody types the environment's name. */
export function consequencesOfGoingBack(options: Options, strategy: Strategy, baseline: Baseline): string[] {
  const kept = keptBy(options, strategy)
  const { clears } = scopeOf(strategy)
  const one = baseline.label
  return [
    firstTheBackup(options, strategy, 'changed'),
    `Then ${options.environment} becomes what ${one} holds, of ${utc(baseline.startedAt)}: ${listed(heldOf(baseline, strategy))}. All that came since goes, and what went comes back.`,
    ...(clears.includes('cache') ? ['Keys live on for as long as they had when it was taken.'] : []),
    ...(kept.length === 0 ? [] : [`What stays: ${list.format(kept)}.`]),
    'It can be cancelled until something is replaced. After that, a restore of the first backup puts back what was there.',
  ]
}

function firstTheBackup(options: Options, strategy: Strategy, done: string): string {
  const { clears } = scopeOf(strategy)
  const preserved = keptBy(options, strategy).length > 0 ? ', also of what is preserved' : ''
  return `First a backup is taken of ${list.format(clears.map((target) => stores[target].name))}${preserved}, and proved: ${clears.map((target) => stores[target].proof).join('; ')}. If that fails, nothing is ${done}.`
}

/** What the dialog says before anybody types the environment's name. */
export function consequencesOf(options: Options, strategy: Strategy): string[] {
  const stays = staysWith(options, strategy)
  const { clears } = scopeOf(strategy)
  return [
    firstTheBackup(options, strategy, 'wiped'),
    `Then what is there is wiped from ${options.environment}: ${goesWith(options, strategy)}. ${clears.map((target) => stores[target].meanwhile).join(' ')}`,
    ...(options.abridged && clears.includes('database') ? [notAllAreShown] : []),
    stays.length === 0
      ? 'Nothing of these stores stays but the ledger of the runs and the name of the environment.'
      : `What stays: ${list.format(stays)}.`,
    'It can be cancelled until the wipe begins. After that, a restore of the backup puts back what was wiped.',
  ]
}
