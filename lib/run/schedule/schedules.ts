import { type Schedule, schedules as schema } from '../../config/schedules.ts'
import type { Config } from '../../config/variables.ts'
import { InvalidConfiguration, messageOf } from '../../errors.ts'
import { parseRequest } from '../request.ts'
import { parseExpression } from './expression.ts'
import { nextTimes } from './next-times.ts'

/** The schedules as they are configured. @throws InvalidConfiguration naming the one that could not be carried out */
export function schedulesOf(config: Pick<Config, 'SCHEDULES' | 'ENVIRONMENT'>): Schedule[] {
  for (const schedule of config.SCHEDULES) {
    const problem = problemOf(schedule, config.ENVIRONMENT)
    if (problem !== null) throw new InvalidConfiguration(`SCHEDULES, "${schedule.name}": ${problem}`)
  }
  return config.SCHEDULES
}

/** The same of a text, before there is a configuration: when a stage is packaged. @throws InvalidConfiguration */
export function parseSchedules(text: string, environment: string): Schedule[] {
  const parsed = schema.safeParse(text)
  if (parsed.success) return schedulesOf({ SCHEDULES: parsed.data, ENVIRONMENT: environment })
  throw new InvalidConfiguration(`SCHEDULES ${parsed.error.issues.map(({ message }) => message).join('; ')}`)
}

/** How far ahead is looked for two that meet, in starts of each. */
const looksAhead = 400

/** A sentence for each two that begin at the same moment soon: of their runs one is refused, because the other is active. */
export function collisionsOf(schedules: readonly Schedule[], after: Date): string[] {
  const starts = schedules
    .filter(({ state }) => state === 'ENABLED')
    .map((schedule) => ({ schedule, times: new Set(nextTimes(schedule, after, looksAhead).map(Number)) }))
  return starts.flatMap(({ schedule: { name }, times }, at) =>
    starts.slice(at + 1).flatMap(({ schedule: other, times: others }) => {
      const meet = [...times].find((time) => others.has(time))
      if (meet === undefined) return []
      const moment = `${new Date(meet).toISOString().slice(0, 16).replace('T', ' ')} UTC`
      return `The schedules "${name}" and "${other.name}" both begin at ${moment}: one of the two is refused (RunActive) while the other is active. Give one of them other minutes`
    }),
  )
}

function problemOf({ operation, strategy, to, expression }: Schedule, environment: string): string | null {
  try {
    parseExpression(expression)
    parseRequest({ operation, strategy, ...(to !== undefined && { to }), confirm: environment })
    return null
  } catch (error) {
    return messageOf(error)
  }
}
