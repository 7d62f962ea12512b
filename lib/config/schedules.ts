import * as z from 'zod'
import { name, parseJson, problemsOf } from './values.ts'

/** One of the runs that a schedule starts, as the deployment made it. */
const Schedule = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,38}$/, 'may hold only a-z, 0-9 and "-", at most 39 characters'),
  state: z.enum(['ENABLED', 'DISABLED']).default('ENABLED'),
  /** `cron(…)`, `rate(…)` or `at(…)` of EventBridge Scheduler. */
  expression: z
    .string()
    .max(256)
    .regex(/^(cron|rate|at)\(.+\)$/, 'is not cron(…), rate(…) or at(…)'),
  timeZone: z.string().refine(isTimeZone, 'is not the name of a time zone').default('UTC'),
  operation: z.enum(['reset', 'backup']),
  strategy: name.default('full'),
  /** The backup that a reset goes back to. */
  to: name.optional(),
})
export type Schedule = z.output<typeof Schedule>

/** Their next times are looked for when the status, or the next reset, is asked for. */
const most = 100

export const schedules = z.string().transform((text, context) => {
  const said = parseJson(text)
  const parsed = z.array(Schedule).safeParse(said)
  const problem =
    Array.isArray(said) && said.length > most
      ? `has ${said.length} schedules, and at most ${most} are taken`
      : !parsed.success
        ? `is not a JSON array of schedules (${problemsOf(parsed.error)})`
        : new Set(parsed.data.map(({ name }) => name)).size < parsed.data.length
          ? 'gives two schedules the same name'
          : parsed.data.some(({ operation, to }) => to !== undefined && operation !== 'reset')
            ? 'has a schedule with "to" that is no reset'
            : null
  if (parsed.success && problem === null) return parsed.data
  context.addIssue({ code: 'custom', message: problem ?? '' })
  return z.NEVER
})

/** A name of the IANA's list: an offset such as +02:00 is none, and EventBridge Scheduler refuses it. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
