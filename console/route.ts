/** Which view an address names; everything lies behind the `#`, so that the server needs one page only. */
export type Route =
  | { view: 'overview' }
  | { view: 'backups' }
  | { view: 'backup'; backupId: string }
  | { view: 'runs' }
  | { view: 'run'; runId: string }
  | { view: 'unknown' }

export function routeOf(hash: string): Route {
  const [view = '', id, ...rest] = hash.replace(/^#?\/?/, '').split('/')
  if (rest.length > 0) return { view: 'unknown' }
  if (view === '' && id === undefined) return { view: 'overview' }
  if (view === 'backups') return id ? { view: 'backup', backupId: decoded(id) } : { view: 'backups' }
  if (view === 'runs') return id ? { view: 'run', runId: decoded(id) } : { view: 'runs' }
  return { view: 'unknown' }
}

export function runAddress(runId: string): string {
  return `#/runs/${encodeURIComponent(runId)}`
}

export function backupAddress(backupId: string): string {
  return `#/backups/${encodeURIComponent(backupId)}`
}

/** A broken escape is no reason to show nothing: no such id will be found, and the view says so. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
