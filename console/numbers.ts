import { number as exact, counted as exactly, utc } from '../lib/amounts.ts'
import type { Total } from '../lib/store/words.ts'
import { targets } from '../lib/store.ts'
import { words } from '../lib/stores/words.ts'

/** Numbers and times as the page shows them; what every message says, too, is in lib/amounts.ts. */

/** `1,234`; `about 1,234` when it is an estimate. */
export function number(value: number, estimated = false): string {
  return `${estimated ? 'about ' : ''}${exact(value)}`
}

/** `1 row`, `2 rows`, `about 1,234 rows`. */
export function counted(value: number, one: string, estimated = false): string {
  return `${estimated ? 'about ' : ''}${exactly(value, one)}`
}

/** `5,390 rows, 120 files, 300 keys`, of those that are counted at all. */
export function listed(counts: Record<Total, number | null>, estimated = false): string {
  return targets
    .map((target) => ({ count: counts[words[target].total], one: words[target].unit }))
    .flatMap(({ count, one }) => (count === null ? [] : counted(count, one, estimated)))
    .join(', ')
}

/** A name in a sentence: one that is read from the right takes no number beside it along. */
export function isolated(name: string): string {
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name
}

/** How long ago: `just now`, `5 minutes ago`, `3 days ago`. */
export function ago(now: Date, since: string): string {
  const minutes = Math.floor((now.getTime() - Date.parse(since)) / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 120) return `${counted(minutes, 'minute')} ago`
  if (minutes < 2880) return `${counted(Math.floor(minutes / 60), 'hour')} ago`
  return `${counted(Math.floor(minutes / 1440), 'day')} ago`
}

/** How soon: `any moment`, `in 5 minutes`, `in 3 days`. */
export function until(now: Date, time: string): string {
  const minutes = Math.ceil((Date.parse(time) - now.getTime()) / 60_000)
  if (minutes < 1) return 'any moment'
  if (minutes < 120) return `in ${counted(minutes, 'minute')}`
  if (minutes < 2880) return `in ${counted(Math.floor(minutes / 60), 'hour')}`
  return `in ${counted(Math.floor(minutes / 1440), 'day')}`
}

/** `8.4 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.floor(Math.max(0, milliseconds) / 100) / 10
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** `19:05:33 UTC`: in the zone of every other time on the page, in messages, and in the ids of backups. */
export function clock(time: Date): string {
  return utc(time).slice('2026-11-22 '.length)
}
