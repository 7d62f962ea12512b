import { listsOfSelection, type Selection } from '../../store/selection.ts'
import { type Target, targets } from '../../store.ts'

/** What of a request the rules below are about. */
type Said = Selection & {
  operation: string
  dryRun?: boolean
  targets?: Target[] | undefined
  to?: string | undefined
  toBackupId?: string | undefined
  ttl?: string | undefined
  label?: string | undefined
  note?: string | undefined
  pin?: boolean | undefined
}

/** What no field says by itself: what would be ignored is a mistake, of it or of what it contradicts. */
export function contradictionIn(request: Said): string | undefined {
  const named = (['label', 'note', 'pin'] as const).find((field) => request[field] !== undefined)
  if (request.dryRun && named !== undefined)
    return `${named}: a dry run makes no backup that could have it. Take "${named}" out, or "dryRun"`
  if (request.operation === 'reset' && request.ttl !== undefined && request.to === undefined)
    return 'ttl: a reset without "to" brings no key back. Take "ttl" out, or say "to"'
  if (request.toBackupId !== undefined && request.to === undefined)
    return 'toBackupId: a reset without "to" goes back to no backup. Take "toBackupId" out, or say "to"'
  if (request.includeParents !== undefined && request.tables === undefined)
    return 'includeParents: no tables are named whose parents could be included. Say "tables", or take it out'
  if (request.tables !== undefined && request.without !== undefined)
    return 'without: "tables" says already which tables are put back. Take one of the two out'
  return ignoredIn(request)
}

function ignoredIn(request: Said): string | undefined {
  const { targets: asked } = request
  if (asked === undefined) return undefined
  for (const target of targets) {
    const ignored = listsOfSelection[target].find((field) => request[field]?.length)
    if (ignored === undefined || asked.includes(target)) continue
    return target === 'database' && ignored === 'without'
      ? `without: names tables or sequences, and "targets" leaves out the database, so none are put back. Take "without" out, or add "database" to "targets"`
      : `${ignored}: "targets" leaves out the ${target}, so none of it is put back. Take "${ignored}" out, or add "${target}" to "targets"`
  }
  return undefined
}
