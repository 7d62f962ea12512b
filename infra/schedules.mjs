// The schedules of a stage: what params say of them becomes one list, which the functions are told (SCHEDULES) and of which
// the template gets a resource each. They are judged by the code that the API tells them with, so that what is wrong with one is
// said before anything is made. See docs/decisions.md#schedules-are-judged-by-the-code-that-tells-them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** A function's environment takes 4 KiB, of which the other variables need about half. */
const maxBytes = 2048

/**
 * @param {{ servicePath: string, custom: Record<string, any>, environment: string }} stage
 * @returns {Promise<{ schedules: object[], collisions: string[] }>}
 * @throws naming the schedule that could not be carried out
 */
export async function readSchedules({ servicePath, custom, environment }) {
  const text =
    custom.schedules === '' ? JSON.stringify([ofParams(custom.schedule)]) : String(custom.schedules)
  const built = join(servicePath, 'dist/schedules.mjs')
  if (!existsSync(built)) throw new Error('There is no dist/schedules.mjs. Run "npm run build" first')
  const { parseSchedules, collisionsOf } = await import(pathToFileURL(built).href)
  const schedules = parseSchedules(text, environment)
  const bytes = Buffer.byteLength(JSON.stringify(schedules))
  if (bytes > maxBytes) {
    throw new Error(
      `The schedules have ${bytes} bytes as JSON, more than the ${maxBytes} that a function can be told. Take some out`,
    )
  }
  return { schedules, collisions: collisionsOf(schedules, new Date()) }
}

/** The one that has params of its own. */
function ofParams({ state, expression, timeZone, operation, strategy, to }) {
  return { name: 'schedule', state, expression, timeZone, operation, strategy, ...(to !== '' && { to }) }
}

/**
 * Makes of the one schedule of infra/schedule.yml as many as there are, and decides whether a backup is to be missed.
 * @param {{ Resources: Record<string, any>, Conditions: Record<string, any> }} template
 * @param {readonly Record<string, any>[]} schedules
 * @param {string} environment
 */
export function makeSchedules({ Resources, Conditions }, schedules, environment) {
  const { Schedule: mould } = Resources
  delete Resources.Schedule
  for (const schedule of schedules) {
    const id = idOf(schedule.name)
    if (id in Resources)
      throw new Error(`A schedule cannot be called "${schedule.name}". Give it another name`)
    const { Properties } = mould
    Resources[id] = {
      ...mould,
      Properties: {
        ...Properties,
        Description: `${Properties.Description}: ${schedule.name}`,
        State: schedule.state,
        ScheduleExpression: schedule.expression,
        ScheduleExpressionTimezone: schedule.timeZone,
        Target: { ...Properties.Target, Input: JSON.stringify(requestOf(schedule, environment)) },
      },
    }
  }
  const isAnyOn = schedules.some(({ state }) => state === 'ENABLED')
  Conditions.HasSchedule = { 'Fn::Equals': [String(isAnyOn), 'true'] }
}

/** The one with params of its own keeps the name that it always had, or a deployment would make it anew. */
function idOf(name) {
  if (name === 'schedule') return 'Schedule'
  const words = name.split('-').map((word) => word.replace(/^./, (letter) => letter.toUpperCase()))
  return `Schedule${words.join('')}`
}

/** The caller's word that this environment is meant is given by whoever switches the schedule on. */
function requestOf({ operation, strategy, to }, environment) {
  return {
    ...{ operation, strategy, ...(to !== undefined && { to }), confirm: environment },
    ...{ requestedBy: 'schedule', scheduledTime: '<aws.scheduler.scheduled-time>' },
  }
}
