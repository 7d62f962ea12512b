import type { Config } from '../../config/variables.ts'
import { nextTimes, periodOf } from '../schedule/next-times.ts'
import { schedulesOf } from '../schedule/schedules.ts'

/** What the schedules that are on say of the status. */
type Due = {
  /** The longest time between two of their backups of everything; null: none is scheduled, or once only. */
  everyHours: number | null
  next: { name: string; at: string; operation: string; strategy: string; to: string | null } | null
  /** Of which strategies a backup is one that they take, or more; null: of any. */
  strategies: ReadonlySet<string> | null
}

/** An hourly backup of the cache alone must not hide that the nightly one of everything did not come. */
export function dueOf(config: Pick<Config, 'SCHEDULES' | 'ENVIRONMENT'>, now: Date): Due {
  const enabled = schedulesOf(config).filter(({ state }) => state === 'ENABLED')
  const whole = enabled.filter(({ strategy }) => strategy === 'full')
  const counted = whole.length > 0 ? whole : enabled
  const minutes = counted.map((schedule) => periodOf(schedule, now)).filter((period) => period !== null)
  const next = enabled
    .flatMap(({ name, operation, strategy, to = null, ...schedule }) =>
      nextTimes(schedule, now, 1).map((at) => ({ name, at: at.toISOString(), operation, strategy, to })),
    )
    .toSorted((one, other) => (one.at < other.at ? -1 : 1))
  return {
    everyHours: minutes.length === 0 ? null : Math.min(...minutes) / 60,
    next: next[0] ?? null,
    strategies: counted.length === 0 ? null : new Set(['full', ...counted.map(({ strategy }) => strategy)]),
  }
}
