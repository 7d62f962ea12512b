import type { Hook } from '../../config/calls.ts'
import { destroys, type OperationName } from '../../operations.ts'

/**
 * Whether hooks may be called around a run. Who must not know their secrets knows only that there are some; else it is known
 * of each which operations it is meant for.
 */
export function isHooked(
  { HOOKS_ON, HOOKS }: { HOOKS_ON: boolean; HOOKS: readonly Pick<Hook, 'operations'>[] },
  operation: OperationName,
): boolean {
  const isMeant =
    HOOKS.length === 0 || HOOKS.some(({ operations }) => operations.some((one) => one === operation))
  return HOOKS_ON && isMeant && destroys(operation)
}
