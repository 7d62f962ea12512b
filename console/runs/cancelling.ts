import type { Run } from '../../lib/http/answers/run.ts'
import type { Session } from '../../lib/http/answers/session.ts'
import { scopeOf } from '../../lib/http/starting-scopes.ts'
import type { Request } from '../../lib/run/request.ts'

/** Why this token may not cancel the run: it takes the scope that starts one. Null when it may. */
export function obstacleToCancelling(
  session: Pick<Session, 'name' | 'scopes'>,
  { operation, plan }: { operation: string; plan: Pick<NonNullable<Run['plan']>, 'rehearse'> | null },
): string | null {
  const scope = scopeOf({
    operation: operation as Request['operation'],
    rehearse: plan?.rehearse ?? false,
  })
  if (session.scopes.includes(scope)) return null
  return `The token "${session.name}" may not cancel it: it lacks the scope "${scope}".`
}
