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

/** When the next scheduled reset begins; null: none is scheduled, or it is not known when. @throws InvalidConfiguration */
export function nextReset(config: Configured, now: Date): string | null {
  const times = toldSchedules(config, now).flatMap(({ operation, next }) =>
    operation === 'reset' ? next : [],
  )
  return times.sort()[0] ?? null
}
