import { bytes, number, utc } from '../../../lib/amounts.ts'
import { statusWords } from '../../../lib/ledger/status.ts'
import { saidAs } from '../../../lib/operations.ts'
import { freshnessOf } from '../../../lib/run/status/freshness.ts'
import { type Status, statusOf } from '../../../lib/run/status/status.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { ageOf, table } from '../show/table.ts'

/** Command "status": whether one can sleep. */
export async function showStatus({ clients }: Connected): Promise<Answer> {
  return statusAnswer(await statusOf(clients), clients.now())
}

export function statusAnswer(status: Status, now: Date): Answer {
  return { document: status, text: statusText(status, now), code: 0 }
}

export function statusText(status: Status, now: Date): string {
  const { lastProved, next, backups, labelled, unseenLabels, nights } = status
  const { says } = freshnessOf(status, now)
  const proof = lastProved?.rehearsedAt ? 'rehearsed' : 'read back'
  const newest =
    lastProved === null
      ? 'none'
      : `${lastProved.backupId} (${lastProved.strategy}, ${ageOf(now, lastProved.startedAt)}, ${proof})`
  const what =
    next && [saidAs(next.operation), next.strategy, next.to && `to ${next.to}`].filter(Boolean).join(' ')
  return [
    table([
      ['last proved backup', `${newest}. ${says}`],
      ['next run', next === null ? 'nothing is scheduled' : `${utc(next.at)}: ${what} (${next.name})`],
      ['backups', `${number(backups.count)}, ${bytes(backups.bytes)}${olderOf(backups)}`],
      ...labelled.map(({ label, backupId }) => [`label ${label}`, backupId]),
      ...unseenLabels.map((label) => [`label ${label}`, 'was not looked at: there was no time']),
      ['last thirty nights', nights.map(({ status: ended }) => markOf(ended)).join('')],
    ]),
    ...nights.flatMap(({ day, runId, status: ended }) =>
      runId === null || ended === null || ended === 'succeeded'
        ? []
        : `\n  ${day}  ${statusWords[ended] ?? ended}: run ${runId}`,
    ),
  ]
    .join('')
    .replace(/\n*$/, '\n')
}

function olderOf({ older }: Status['backups']): string {
  return older === 0 ? '' : `; ${number(older)} older folders were not looked at`
}

/** The oldest night comes first; `·`: without a run. */
function markOf(status: string | null): string {
  if (status === null) return '·'
  if (status === 'succeeded') return '✓'
  if (status === 'succeeded_with_warnings') return '!'
  if (status === 'running') return '…'
  return status === 'cancelled' ? '-' : '✗'
}
