import type { Warning } from '../../backup/manifest.ts'
import { readCalls } from '../../ledger/calls/calls.ts'
import type { Connection } from '../../postgres/connection.ts'

/** What is said at the end of a run of the hooks that failed, and that may. */
export async function toleratedHooks(connection: Connection, runId: string): Promise<Warning[]> {
  const calls = await readCalls(connection, runId)
  return calls
    .filter(({ state }) => state === 'tolerated')
    .map(({ name, moment, error }) => ({
      code: 'HookFailed',
      message: `The hook "${name}" ${moment} the run failed: ${error}. The stores are as they should be; what the hook was to do is left to be done`,
    }))
}
