import { utc } from '../../../lib/amounts.ts'
import { collisionsOf, schedulesOf } from '../../../lib/run/schedule/schedules.ts'
import { type ToldSchedule, toldSchedules } from '../../../lib/run/schedule/told.ts'
import { MACHINE_ARN } from '../../machine/arn.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { list } from '../show/table.ts'

/** It must not be believed that the night is provided for. */
const noClock =
  'This stack has no schedules: EventBridge Scheduler starts them, where they are deployed. None of these begins here.'

/** Command "schedule": what begins by itself, and when next. */
export async function showSchedules({ clients }: Connected): Promise<Answer> {
  const now = clients.now()
  const schedules = toldSchedules(clients.config, now)
  const collisions = collisionsOf(schedulesOf(clients.config), now).map((one) => `\n${one}.\n`)
  const isEmbedded = clients.config.STATE_MACHINE_ARN === MACHINE_ARN
  const text = [
    scheduleText(schedules),
    ...collisions,
    isEmbedded && schedules.length > 0 ? `\n${noClock}\n` : '',
  ].join('')
  return { document: { schedules }, text, code: 0 }
}

export function scheduleText(schedules: readonly ToldSchedule[]): string {
  const lines = schedules.map(({ name, state, operation, strategy, to, expression, timeZone, next }) => [
    name,
    state === 'ENABLED' ? 'on' : 'off',
    `${operation} ${strategy}${to === null ? '' : ` to ${to}`}`,
    `${expression} ${timeZone}`,
    nextOf(state, next),
  ])
  const none = 'SCHEDULES names none: nothing begins by itself here, as far as can be seen.\n'
  return lines.length === 0 ? none : list(['name', '', 'what', 'when', 'next'], lines)
}

function nextOf(state: string, [next]: readonly string[]): string {
  if (next !== undefined) return utc(next)
  return state === 'ENABLED' ? 'not known, or never' : ''
}
