import type * as z from 'zod'
import type { BackupAnswer, BackupDetails } from '../lib/http/answers/backup.ts'
import type { Options } from '../lib/http/answers/options.ts'
import type { Run } from '../lib/http/answers/run.ts'
import type { Session } from '../lib/http/answers/session.ts'
import type { Request } from '../lib/run/request.ts'
import type { Status } from '../lib/run/status/status.ts'
import { visible } from '../lib/visible.ts'

/** The API's answer when it refuses (RFC 9457): the message says what, why and what to do. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly title: string
  readonly status: number
  /** Of RunActive: the run that is in the way. */
  readonly activeRunId: string | undefined
  constructor(status: number, problem: { title?: string; detail?: string; activeRunId?: string }) {
    super(problem.detail ?? `The service answered ${status} without a reason. Try again; its log says more`)
    this.status = status
    this.title = problem.title ?? `Status ${status}`
    this.activeRunId = problem.activeRunId
  }
}

/** No answer came: the network, or the service behind it, cannot be reached. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

/** Keys that the API sets itself, and refuses when they are sent. */
type SetByTheApi = 'idempotencyKey' | 'requestedBy' | 'scheduledTime'
type Input<Operation> = Operation extends unknown ? Omit<Operation, SetByTheApi> : never
/** What can be asked for with POST /v1/runs. */
export type RunRequest = Input<z.input<typeof Request>>

type BackupPage = {
  backups: BackupAnswer[]
  unreadable: { backupId: string; reason: string }[]
  next: string | null
}

export type Api = ReturnType<typeof connect>

type Listener = {
  /** The token is not, or no longer, known; or has expired: the refusal says which. */
  onUnauthorized: (refusal: Refused) => void
  /** Told after each call whether an answer came. */
  onReach: (reached: boolean) => void
}

/** The service's API, asked with one token. */
export function connect(token: string, { onUnauthorized, onReach }: Listener) {
  async function ask<Answer>(method: string, path: string, body?: unknown, key?: string): Promise<Answer> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (key !== undefined) headers['idempotency-key'] = key
    let response: Response
    let text: string
    try {
      response = await fetch(`/v1${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      text = await response.text()
    } catch (cause) {
      onReach(false)
      throw new ConnectionLost(
        'The service cannot be reached. Check the network; nothing is lost by waiting',
        {
          cause,
        },
      )
    }
    onReach(true)
    if (response.ok) return shown(JSON.parse(text)) as Answer
    const refusal = new Refused(response.status, problemIn(text))
    if (response.status === 401) onUnauthorized(refusal)
    throw refusal
  }

  const id = encodeURIComponent
  return {
    session: () => ask<Session>('GET', '/session'),
    options: () => ask<Options>('GET', '/options'),
    status: () => ask<Status>('GET', '/status'),
    runs: (before?: string) =>
      ask<{ runs: Run[]; next: string | null }>(
        'GET',
        `/runs?limit=25${before ? `&before=${id(before)}` : ''}`,
      ),
    run: (runId: string) => ask<Run>('GET', `/runs/${id(runId)}`),
    /** @param key the same key again gives the first run, so a start whose answer was lost can be repeated */
    start: (request: RunRequest, key: string) => ask<{ runId: string }>('POST', '/runs', request, key),
    cancel: (runId: string) => ask<Run>('POST', `/runs/${id(runId)}/cancel`),
    /** All of them, page by page. */
    backups: async () => {
      const all: Pick<BackupPage, 'backups' | 'unreadable'> = { backups: [], unreadable: [] }
      for (let next: string | null | undefined; next !== null; ) {
        const page: BackupPage = await ask('GET', `/backups${next ? `?before=${id(next)}` : ''}`)
        all.backups.push(...page.backups)
        all.unreadable.push(...page.unreadable)
        next = page.next
      }
      return all
    },
    backup: (backupId: string) => ask<BackupDetails>('GET', `/backups/${id(backupId)}`),
    pin: (backupId: string, pinned: boolean) =>
      ask<{ pinned: boolean }>('PUT', `/backups/${id(backupId)}/pin`, { pinned }),
    /** The address from which one part can be downloaded for five minutes. */
    part: (backupId: string, part: string) =>
      ask<{ url: string }>('GET', `/backups/${id(backupId)}/parts/${id(part)}`),
  }
}

/** An answer with every name in it, also those that are keys, as people may see it: one that turns the direction of text lies. */
function shown(answer: unknown): unknown {
  if (typeof answer === 'string') return visible(answer)
  if (Array.isArray(answer)) return answer.map(shown)
  if (typeof answer !== 'object' || answer === null) return answer
  return Object.fromEntries(Object.entries(answer).map(([key, value]) => [visible(key), shown(value)]))
}

/** What stands before the function (a gateway that throttles, say) answers without a problem document. */
function problemIn(text: string): { title?: string; detail?: string; activeRunId?: string } {
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? (shown(answer) as object) : {}
  } catch {
    return {}
  }
}
