import type { Options } from '../../lib/http/answers/options.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { counted, number } from '../numbers.ts'
import type { BarsLine, Side } from '../page/bars.tsx'
import type { Share } from '../stores/store.ts'
import { stores } from '../stores/stores.ts'
import type { Baseline } from './goal.ts'
import { shareOf } from './shares.ts'

/** What a reset makes of each store. @param baseline what it goes back to; undefined: zero */
export function pictureOf(options: Options, strategy: Strategy, baseline: Baseline | undefined): BarsLine[] {
  const { clears } = scopeOf(strategy)
  return targets.map((target) => lineOf(target, shareOf(options, target), clears.includes(target), baseline))
}

function lineOf(
  target: Target,
  share: Share | null,
  isCleared: boolean,
  baseline: Baseline | undefined,
): BarsLine {
  const one = words[target].unit
  const what = stores[target].title
  if (share === null) {
    const unknown: Side = { says: 'not counted', goes: null }
    return {
      what,
      from: unknown,
      to: unknown,
      becomes: isCleared ? 'goes, however much it is' : 'stays as it is',
    }
  }
  const { goes, stays, estimated } = share
  const all = counted(goes + stays, one, estimated)
  if (!isCleared) {
    const side: Side = { says: all, goes: 0, stays: goes + stays }
    return { what, from: side, to: side, becomes: 'stays as it is' }
  }
  const from: Side = { says: all, goes, stays }
  const kept = stays === 0 ? '' : `; ${number(stays, estimated)} ${stays === 1 ? 'stays' : 'stay'}`
  const held = baseline?.[words[target].total]
  if (baseline === undefined || held === null || held === undefined) {
    const to: Side = { says: counted(stays, one, stays > 0 && estimated), goes: 0, stays }
    return {
      what,
      from,
      to,
      becomes: `${counted(goes, one, estimated)} ${goes === 1 ? 'goes' : 'go'}${kept}`,
    }
  }
  const to: Side = { says: counted(held, one), goes: held }
  return { what, from, to, becomes: `becomes what ${baseline.label} holds${kept}` }
}
