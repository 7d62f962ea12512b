import type { Run } from '../../lib/http/answers/run.ts'
import type { Session } from '../../lib/http/answers/session.ts'

/** Why nothing can be put back now; null when it can. */
export function obstacleToPuttingBack({
  session,
  active,
}: {
  session: Session
  active: Run | undefined
}): string | null {
  if (!session.scopes.includes('restore')) {
    return `The token "${session.name}" may not do this: it lacks the scope "restore".`
  }
  if (session.protected) return `${session.environment} is protected: nothing is wiped or replaced in it.`
  return active === undefined ? null : 'Another run is active; one runs at a time.'
}

/** To be pasted where the command line is set up. */
export function commandToRestore(backupId: string, environment: string): string {
  return `npx taskmaster-reset restore ${backupId} --confirm ${environment}`
}
