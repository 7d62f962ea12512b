import type { Clients } from '../../clients.ts'
import type { Notice, Noticed } from '../../config/calls.ts'
import { type Called, call } from '../../web/call.ts'
import { publish } from '../../web/publish.ts'
import { signed } from '../../web/signature.ts'
import { type Text, textForChat } from './text.ts'

/** What is told, whoever is told of it. */
export type Happening = {
  /** The run's id, or the alarm and its time: with `moment` what is told once. */
  about: string
  moment: 'started' | 'ended' | 'no-backup'
  /** The most telling first. */
  events: Noticed[]
  /** null: it is about no run. */
  run: { runId: string; operation: string; strategy: string | null; status: string | null } | null
  text: Text
}

/** Milliseconds for one try. */
const timeoutMs = 10_000

/** What of it a notice is to be told of; undefined: nothing. */
export function eventFor({ on, operations }: Notice, { events, run }: Happening): Noticed | undefined {
  if (run !== null && operations !== undefined && !operations.includes(run.operation)) return undefined
  return events.find((event) => on.includes(event))
}

/** Tells one of it, once. @returns what it failed with, in which is nothing of the address but its host; null: told */
export async function send(
  clients: Pick<Clients, 'config' | 'now'>,
  notice: Notice,
  { happening, event, signal }: { happening: Happening; event: Noticed; signal: AbortSignal },
): Promise<string | null> {
  const called = await sendTo(clients, notice, { happening, event, signal })
  if ('refused' in called) return `its address may not be called: ${called.refused}`
  if ('failed' in called) return called.failed
  const { status } = called
  return status >= 200 && status < 300
    ? null
    : `${notice.url?.hostname ?? 'it'} answered with status ${status}`
}

async function sendTo(
  { config, now }: Pick<Clients, 'config' | 'now'>,
  notice: Notice,
  { happening, event, signal }: { happening: Happening; event: Noticed; signal: AbortSignal },
): Promise<Called> {
  const { text } = happening
  const all = [text.title, ...text.lines, ...(text.url === null ? [] : [text.url])].join('\n')
  if (notice.topic !== undefined)
    return publish({ topicArn: notice.topic, subject: text.title, message: all, timeoutMs, signal })
  const url = notice.url ?? new URL('invalid:')
  const post = (body: string, headers: Record<string, string> = {}, to = url) =>
    call({ url: to, body, headers, timeoutMs, signal, allowed: config.ALLOWED_PRIVATE_HOSTS })
  if (notice.kind === 'slack') return post(JSON.stringify({ text: textForChat(all) }))
  if (notice.kind === 'ping')
    return post(all, { 'content-type': 'text/plain; charset=utf-8' }, pinged(url, event))
  const body = JSON.stringify({
    event,
    events: happening.events,
    environment: config.ENVIRONMENT,
    ...(happening.run ?? { runId: null, operation: null, strategy: null, status: null }),
    title: text.title,
    text: text.lines.join('\n'),
    url: text.url,
  })
  const key = {
    'idempotency-key': [happening.about, happening.moment, notice.name].map(encodeURIComponent).join('/'),
  }
  return post(body, notice.secret === undefined ? key : { ...key, ...signed(notice.secret, body, now()) })
}

/** As healthchecks.io has it: /start, /fail, and nothing for a success. */
function pinged(url: URL, event: Noticed): URL {
  const to = new URL(url)
  const suffix = event === 'started' ? '/start' : event === 'failed' ? '/fail' : ''
  to.pathname = to.pathname.replace(/\/$/, '') + suffix
  return to
}
