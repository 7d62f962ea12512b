import * as z from 'zod'
import { name, parseJson, problemsOf } from './values.ts'

// What is called and told outside: HOOKS, NOTICES and the hosts of one's own network. Their values are secrets, so that
// what is wrong with one is said by where it stands, and never by what it says.

/** Stands in the ledger, in logs and in warnings. */
const title = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'may hold only A-Z, a-z, 0-9, ".", "_" and "-"')
const secret = z.string().min(32, 'is a secret of fewer than 32 characters').max(1024)
/** Read as an address here, so that a mistake is found before the night. Whether it may be called is judged at each call. */
const address = z
  .string()
  .max(4096)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'is no https:// address')
  .transform((text) => new URL(text))
const functionArn = z
  .string()
  .regex(
    /^arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]{1,128})?$/,
    'is not the ARN of a Lambda function',
  )
const topicArn = z
  .string()
  .regex(/^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$/, 'is not the ARN of an SNS topic')

/** The runs that hooks are called around: those that take away what is there. */
const hookedOperations = ['reset', 'reset-to', 'restore'] as const

const Hook = z
  .strictObject({
    name: title,
    moment: z.enum(['before', 'after']),
    /** Of one after a run: `always`, also when the run failed, was cancelled or was stopped. */
    when: z.enum(['succeeded', 'always']).default('succeeded'),
    url: address.optional(),
    function: functionArn.optional(),
    /** As it is written, the key of the signature. A function is protected by who may invoke it. */
    secret: secret.optional(),
    timeoutSeconds: z.int().min(1).max(300).default(30),
    tries: z.int().min(1).max(5).default(3),
    /** What it is to the run when all tries failed. */
    onFailure: z.enum(['error', 'warning']).optional(),
    operations: z
      .array(z.enum(hookedOperations))
      .min(1)
      .default([...hookedOperations]),
  })
  .transform(({ onFailure, ...hook }) => ({
    ...hook,
    onFailure: onFailure ?? (hook.moment === 'before' ? ('error' as const) : ('warning' as const)),
  }))
export type Hook = z.output<typeof Hook>

/** Milliseconds from one try to the next. */
export const pauseBetweenTries = (tries: number) => Math.min(1000 * 2 ** (tries - 1), 10_000)

/** Seconds in which all hooks of one moment have to be over: their function has 900, and the ledger wants some of them. */
const secondsOfMoment = 840

/** Seconds, when no try is answered. */
function longestOf({ tries, timeoutSeconds }: Hook): number {
  const pauses = Array.from({ length: tries - 1 }, (_, tried) => pauseBetweenTries(tried + 1) / 1000)
  return tries * timeoutSeconds + pauses.reduce((sum, pause) => sum + pause, 0)
}

function problemOfHooks(hooks: readonly Hook[]): string | null {
  if (hasTwice(hooks.map(({ name }) => name))) return 'gives two hooks the same name'
  for (const [index, hook] of hooks.entries()) {
    if ((hook.url === undefined) === (hook.function === undefined))
      return `${index}: says not exactly one of "url" and "function"`
    if ((hook.url === undefined) !== (hook.secret === undefined))
      return `${index}: a "url" has a "secret", and a "function" has none`
    if (hook.moment === 'before' && hook.onFailure === 'warning')
      return `${index}: a run goes on only when each hook before it succeeded, so "onFailure" cannot be "warning"`
    if (hook.moment === 'before' && hook.when === 'always')
      return `${index}: "always" is about hooks after a run`
  }
  for (const moment of ['before', 'after'] as const) {
    for (const operation of hookedOperations) {
      const called = hooks.filter((hook) => hook.moment === moment && hook.operations.includes(operation))
      if (called.reduce((sum, hook) => sum + longestOf(hook), 0) > secondsOfMoment)
        return `the hooks ${moment} a ${operation} could take more than ${secondsOfMoment} s together: lower "timeoutSeconds" or "tries"`
    }
  }
  return null
}

export const hooks = listOf(z.array(Hook).max(20), 'hooks', problemOfHooks)

/** What a notice can be about. `recovered`: the first success after a failure. */
const noticed = [
  ...(['started', 'succeeded', 'warned', 'failed', 'recovered'] as const),
  ...(['baseline-outdated', 'no-backup'] as const),
]
export type Noticed = (typeof noticed)[number]

/** What needs a person. */
const ofInterest: Noticed[] = ['warned', 'failed', 'recovered', 'baseline-outdated', 'no-backup']
/** What a service that waits for signs of life goes by. */
const ofPing: Noticed[] = ['started', 'succeeded', 'warned', 'failed']

const Notice = z
  .strictObject({
    name: title,
    /**
     * `slack`: an incoming webhook of Slack, or of what speaks like it. `webhook`: JSON, signed where there is a secret.
     * `ping`: an address as of healthchecks.io, with `/start` and `/fail` behind it. `sns`: the topic of the alarms.
     */
    kind: z.enum(['slack', 'webhook', 'ping', 'sns']),
    url: address.optional(),
    topic: topicArn.optional(),
    secret: secret.optional(),
    on: z.array(z.enum(noticed)).min(1).optional(),
    /** Of which runs; left out: of all. */
    operations: z.array(name).min(1).optional(),
  })
  .transform(({ on, ...notice }) => ({ ...notice, on: on ?? (notice.kind === 'ping' ? ofPing : ofInterest) }))
export type Notice = z.output<typeof Notice>

function problemOfNotices(notices: readonly Notice[]): string | null {
  if (hasTwice(notices.map(({ name }) => name))) return 'gives two notices the same name'
  for (const [index, { kind, url, topic, secret, on }] of notices.entries()) {
    if ((kind === 'sns') !== (topic !== undefined) || (kind === 'sns') === (url !== undefined))
      return `${index}: "sns" has a "topic", and each other kind a "url"`
    if (secret !== undefined && kind !== 'webhook')
      return `${index}: only a "webhook" is signed with a "secret"`
    if (kind === 'ping' && on.some((event) => !ofPing.includes(event)))
      return `${index}: a "ping" is on ${ofPing.join(', ')} alone`
  }
  return null
}

export const notices = listOf(z.array(Notice).max(20), 'notices', problemOfNotices)

/** `host` or `host:port`, as `PrivateHost` of lib/web. */
export const privateHosts = z.string().transform((text, context) => {
  const found = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map(hostAndPort)
  if (found.every((one) => one !== null)) return found
  context.addIssue({ code: 'custom', message: 'holds something else than host or host:port' })
  return z.NEVER
})

function hostAndPort(item: string): { host: string; port: number | null } | null {
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^\s:[\]/@?#\\]+)(?::(\d{1,5}))?$/i.exec(item) ?? []
  if (!URL.canParse(`https://${host}/`) || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) return null
  const { hostname } = new URL(`https://${host}/`)
  return {
    host: hostname.replace(/^\[|\]$/g, '').replace(/\.$/, ''),
    port: port === undefined ? null : Number(port),
  }
}

function hasTwice(names: readonly string[]): boolean {
  return new Set(names).size < names.length
}

/** A JSON array whose items are read one by one, and then together. */
function listOf<Item>(
  schema: z.ZodType<Item[]>,
  what: string,
  problemOf: (items: readonly Item[]) => string | null,
) {
  return z.string().transform((text, context) => {
    const parsed = schema.safeParse(parseJson(text))
    const problem = parsed.success
      ? problemOf(parsed.data)
      : `is not a JSON array of ${what} (${problemsOf(parsed.error)})`
    if (parsed.success && problem === null) return parsed.data
    context.addIssue({ code: 'custom', message: problem ?? '' })
    return z.NEVER
  })
}
