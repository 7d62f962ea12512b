import type { Schedule } from '../../config/schedules.ts'
import type { Config } from '../../config/variables.ts'
import { nextTimes } from './next-times.ts'
import { schedulesOf } from './schedules.ts'

type Configured = Pick<Config, 'SCHEDULES' | 'ENVIRONMENT'>
/** A schedule with its next times, in UTC; none when it is off, or a rate. */
export type ToldSchedule = Omit<Schedule, 'to'> & { to: string | null; next: string[] }

/** How many next times are told. */
const told = 5

/** @throws InvalidConfiguration */
export function toldSchedules(config: Configured, now: Date): ToldSchedule[] {
  return schedulesOf(config).map(({ to = null, ...schedule }) => ({
    ...{ ...schedule, to },
    next:
      schedule.state === 'DISABLED' ? [] : nextTimes(schedule, now, told).map((time) => time.toISOString()),
  }))
}

const keptMs = 10_000
const kept = new WeakMap<Configured, { from: number; until: number; at: string | null }>()

/**
 * When the next scheduled reset begins; null: none is scheduled, or it is not known when. Strangers ask: one process looks
 * once in ten seconds, or when it has begun.
 * @throws InvalidConfiguration
 */
export function nextReset(config: Configured, now: Date): string | null {
  const from = now.getTime()
  const last = kept.get(config)
  if (last !== undefined && from >= last.from && from < last.until) return last.at
  const at = lookForReset(config, now)
  const until = Math.min(from + keptMs, at === null ? Infinity : Date.parse(at))
  kept.set(config, { from, until, at })
  return at
}

function lookForReset(config: Configured, now: Date): string | null {
  const times = schedulesOf(config)
    .filter(({ operation, state }) => operation === 'reset' && state === 'ENABLED')
    .flatMap((schedule) => nextTimes(schedule, now, 1).map((time) => time.toISOString()))
  return times.sort()[0] ?? null
}
