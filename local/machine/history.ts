import type { Json } from './definition.ts'

type HistoryEvent = {
  id: number
  previousEventId: number
  timestamp: Date
  type: string
  [details: string]: unknown
}

export type History = {
  events: HistoryEvent[]
  /** Adds an event and gives its id, for the next one of the same branch to point back to. */
  add(previous: number, type: string, details?: Record<string, unknown>): number
}

/** The end of AWS's own history; an execution that got so far would have failed there. */
const MAX_EVENTS = 25_000

export function createHistory(): History {
  const events: HistoryEvent[] = []
  function add(previousEventId: number, type: string, details?: Record<string, unknown>): number {
    const id = events.length + 1
    if (id > MAX_EVENTS) return previousEventId
    events.push({
      id,
      previousEventId,
      timestamp: new Date(),
      type,
      ...(details ? { [detailsField(type)]: details } : {}),
    })
    return id
  }
  return { events, add }
}

/** What the children of a Distributed Map write to: on AWS they have a history of their own, not their parent's. */
export function noHistory(): History {
  return { events: [], add: (previous) => previous }
}

export function asText(value: Json | undefined): string {
  return JSON.stringify(value ?? null)
}

function detailsField(type: string): string {
  if (type.endsWith('StateEntered')) return 'stateEnteredEventDetails'
  if (type.endsWith('StateExited')) return 'stateExitedEventDetails'
  return `${type[0]?.toLowerCase()}${type.slice(1)}EventDetails`
}
