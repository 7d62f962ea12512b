import type * as z from 'zod'
import type { BackupAnswer, BackupDetails } from '../lib/http/answers/backup.ts'
import type { Options } from '../lib/http/answers/options.ts'
import type { Run } from '../lib/http/answers/run.ts'
import type { Session } from '../lib/http/answers/session.ts'
import type { Request } from '../lib/run/request.ts'
import type { ToldSchedule } from '../lib/run/schedule/told.ts'
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

export type BackupPage = {
  backups: BackupAnswer[]
  unreadable: { backupId: string; reason: string }[]
  next: string | null
}

/** Which backups are looked for. */
export type Wanted = { q?: string; strategy?: string; pinned?: 'true' }

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
    schedules: () => ask<{ schedules: ToldSchedule[] }>('GET', '/schedules'),
    runs: (before?: string) =>
      ask<{ runs: Run[]; next: string | null }>(
        'GET',
        `/runs?limit=25${before ? `&before=${id(before)}` : ''}`,
      ),
    run: (runId: string) => ask<Run>('GET', `/runs/${id(runId)}`),
    /** @param key the same key again gives the first run, so a start whose answer was lost can be repeated */
    start: (request: RunRequest, key: string) => ask<{ runId: string }>('POST', '/runs', request, key),
    cancel: (runId: string) => ask<Run>('POST', `/runs/${id(runId)}/cancel`),
    /**
     * A page of those that are wanted, the newest first; what is left out makes the service's pages short, so some of them
     * are asked for one after the other.
     * @param kept whether to tell why each is kept, for which the service reads all of them
     */
    backups: async (wanted: Wanted, { before, kept = false }: { before?: string; kept?: boolean } = {}) => {
      const isFiltered = Object.keys(wanted).length > 0
      const said = { ...wanted, limit: isFiltered ? '200' : '50', ...(kept && { kept: 'true' }) }
      const all: BackupPage = { backups: [], unreadable: [], next: before ?? null }
      for (let page = 0; page < 20 && all.backups.length < 25 && (page === 0 || all.next !== null); page++) {
        const query = new URLSearchParams({ ...said, ...(all.next !== null && { before: all.next }) })
        const { backups, unreadable, next }: BackupPage = await ask('GET', `/backups?${query}`)
        all.backups.push(...backups)
        if (!isFiltered) all.unreadable.push(...unreadable)
        all.next = next
      }
      return all
    },
    /** Gives it a label or a note; null takes them away. */
    rename: (backupId: string, names: { label?: string | null; note?: string | null }) =>
      ask<{ labels: string[] }>('PATCH', `/backups/${id(backupId)}`, names),
    backup: (backupId: string) => ask<BackupDetails>('GET', `/backups/${id(backupId)}`),
    /** Why it is kept, for which the service reads all of them; null: it cannot be told. */
    kept: async (backupId: string) =>
      (await ask<BackupDetails>('GET', `/backups/${id(backupId)}?kept=true`)).kept,
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
