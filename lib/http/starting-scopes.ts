import type { Scope } from '../config.ts'
import type { Request } from '../run/request.ts'

const scopeOfOperation: Record<Request['operation'], Scope> = {
  backup: 'backup',
  reset: 'reset',
  claim: 'reset',
  restore: 'restore',
  verify: 'read',
  delete: 'delete',
}

/**
 * What starting a run needs, and cancelling it. A verify that rehearses loads rows into the database, as a backup does
 * that is rehearsed.
 */
export function scopeOf({
  operation,
  rehearse,
}: {
  operation: Request['operation']
  rehearse: boolean
}): Scope {
  return operation === 'verify' && rehearse ? 'backup' : scopeOfOperation[operation]
}

/** Those that can start any run. @see docs/decisions.md#rehearsing-needs-the-scope-of-taking-a-backup */
export const startingScopes = [...new Set(Object.values(scopeOfOperation))] as [Scope, ...Scope[]]
