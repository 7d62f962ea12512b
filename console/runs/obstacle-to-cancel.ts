import type { Run } from '../../lib/http/answers/run.ts'
import type { Session } from '../../lib/http/answers/session.ts'
import { scopeToStart } from '../../lib/operations.ts'

/** Why this token may not cancel the run: it takes the scope that starts one. Null when it may. */
export function obstacleToCancelling(
  session: Pick<Session, 'name' | 'scopes'>,
  {
    operation,
    plan,
  }: { operation: string; plan: Pick<NonNullable<Run['plan']>, 'rehearse' | 'rows'> | null },
): string | null {
  const scope = scopeToStart(operation, plan !== null && (plan.rehearse || plan.rows !== undefined))
  if (session.scopes.some((one) => one === scope)) return null
  return `The token "${session.name}" may not cancel it: it lacks the scope "${scope}".`
}
