import type { Clients } from '../../clients.ts'
import type { Hook } from '../../config/calls.ts'
import type { RunRow } from '../../ledger/runs.ts'
import { type Called, call } from '../../web/call.ts'
import { invoke } from '../../web/invoke.ts'
import { signed } from '../../web/signature.ts'

/** The same for each try of one call, also in another invocation: by it the receiver knows a call that it has had. */
function idempotencyKeyOf({ runId }: RunRow, { moment, name }: Hook): string {
  return `${encodeURIComponent(runId)}/${moment}/${name}`
}

/** What a hook is told of the run: names, and no row, key or file. @see docs/formats.md#what-a-hook-is-told */
function bodyOf(clients: Pick<Clients, 'config'>, row: RunRow, hook: Hook): string {
  return JSON.stringify({
    event: hook.moment,
    hook: hook.name,
    runId: row.runId,
    environment: clients.config.ENVIRONMENT,
    operation: row.operation,
    strategy: row.strategy,
    to: row.targetBackupId,
    backupId: hook.moment === 'after' ? row.backupId : null,
    status: row.status,
    idempotencyKey: idempotencyKeyOf(row, hook),
  })
}

/** One try. */
export async function send(
  clients: Pick<Clients, 'config' | 'now'>,
  row: RunRow,
  { hook, signal }: { hook: Hook; signal: AbortSignal },
): Promise<Called> {
  const body = bodyOf(clients, row, hook)
  const timeoutMs = hook.timeoutSeconds * 1000
  if (hook.function !== undefined) return invoke({ functionArn: hook.function, body, timeoutMs, signal })
  return call({
    url: hook.url ?? new URL('invalid:'),
    body,
    headers: {
      'idempotency-key': idempotencyKeyOf(row, hook),
      ...signed(hook.secret ?? '', body, clients.now()),
    },
    timeoutMs,
    signal,
    allowed: clients.config.ALLOWED_PRIVATE_HOSTS,
  })
}

/** What a try failed with; null: it was answered as it should be. `isFinal`: another try would be told the same. */
export function failureOf(called: Called, hook: Hook): { says: string; isFinal: boolean } | null {
  if ('refused' in called) return { says: `its address may not be called: ${called.refused}`, isFinal: true }
  if ('failed' in called) return { says: called.failed, isFinal: false }
  const { status } = called
  if (status >= 200 && status < 300) return null
  const isPassing = status >= 500 || [408, 425, 429].includes(status)
  return {
    says: `${hook.url?.hostname ?? 'the function'} answered with status ${status}`,
    isFinal: !isPassing,
  }
}
