import * as z from 'zod'
import { utc } from '../../amounts.ts'
import type { Noticed } from '../../config/calls.ts'
import type { Config } from '../../config/variables.ts'
import type { RunRow } from '../../ledger/runs.ts'
import { statusWords } from '../../ledger/status.ts'
import { operationOf, saidAs } from '../../operations.ts'
import { targets } from '../../store.ts'
import { cut, visible, visibleName } from '../../visible.ts'
import { Outcome } from '../outcome.ts'
import { nextStepsOf } from '../words/next-steps.ts'
import { amountOf, stateWords } from '../words/outcome.ts'
import { errorWithoutOutcome } from '../words/without-outcome.ts'

/** What a notice says: a line for a list or a subject, and below it what a person needs to know. */
export type Text = { title: string; lines: string[]; url: string | null }

type Named = Pick<Config, 'ENVIRONMENT' | 'PAGE_URL'>

/** Bytes of one message of ours, which may name thousands of tables. */
const messageMaxBytes = 1000
const warningsTold = 5

export function textOfEnd(config: Named, row: RunRow, events: readonly Noticed[]): Text {
  const outcome = Outcome.safeParse(row.outcome).data
  const again = events.includes('recovered') ? ', after the last one had failed' : ''
  return {
    title: `${config.ENVIRONMENT}: ${nameOf({ ...row, to: toOf(row) })} ${statusWords[row.status] ?? row.status}${again}`,
    lines: (outcome === undefined ? withoutOutcome(row) : ofOutcome(outcome)).map(visible),
    url: linkTo(config, row.runId),
  }
}

function ofOutcome(outcome: Outcome): string[] {
  const { error, warnings, backupId, finishedAt } = outcome
  const actsOnStores = operationOf(outcome.operation)?.actsOn === 'stores'
  return [
    ...(error === null ? [] : [sentenceOf(error.name, error.message)]),
    ...(actsOnStores ? targets.map((target) => lineOf(outcome, target)) : []),
    ...(backupId === null ? [] : [`Backup: ${backupId}`]),
    ...warnings.slice(0, warningsTold).map(({ code, message }) => `Warning ${sentenceOf(code, message)}`),
    ...(warnings.length > warningsTold ? [`And ${warnings.length - warningsTold} warnings more.`] : []),
    ...(error === null
      ? []
      : nextStepsOf(outcome).map(({ says, restore }) => [says, restore].filter(Boolean).join(' '))),
    `Ended at ${utc(finishedAt)}.`,
  ]
}

function lineOf(outcome: Outcome, target: (typeof targets)[number]): string {
  const amount = amountOf(outcome, target)
  return `${target}: ${stateWords[outcome.targets[target].state]}${amount === '' ? '' : `, ${amount}`}`
}

function withoutOutcome(row: RunRow): string[] {
  const lost = 'It gave no sign of life any more, and nobody knows how far it got'
  const { name, message } = errorWithoutOutcome(row, lost)
  return [sentenceOf(name, message)]
}

export function textOfStart(
  config: Named,
  run: { runId: string; operation: string; strategy: string | null },
): Text {
  return { title: `${config.ENVIRONMENT}: ${nameOf(run)} started`, lines: [], url: linkTo(config, run.runId) }
}

/** Of an execution that ended before it became a run. */
export function textOfRefused(
  config: Named,
  run: { operation: string; strategy: string | null },
  error: { name: string; message: string },
): Text {
  const title = `${config.ENVIRONMENT}: ${nameOf(run)} could not begin`
  return { title, lines: [sentenceOf(error.name, error.message)].map(visible), url: null }
}

export function textOfNoBackup(config: Named, alarmName: string): Text {
  return {
    title: `${config.ENVIRONMENT}: no backup in time`,
    lines: [
      visibleName(
        `The schedule is on, and no run has sealed a backup for longer than alarm-after-hours (${alarmName}). Look whether the schedule fires, and what its runs end with`,
      ),
    ],
    url: config.PAGE_URL === undefined ? null : linkTo(config, null),
  }
}

/**
 * The name of a table could wake everybody: `<!channel>` in Slack, and `@channel` or `@everyone` in what takes the same calls,
 * such as Mattermost and Discord. What is not seen behind the "@" makes it a text.
 */
export function textForChat(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('@', '@\u200b')
}

/** `reset full to baseline` */
function nameOf({
  operation,
  strategy,
  to = operation === 'reset-to' ? 'a backup' : null,
}: {
  operation: string
  strategy: string | null
  to?: string | null | undefined
}): string {
  return [saidAs(operation), strategy, to && `to ${to}`].filter(Boolean).join(' ')
}

const Planned = z.object({ restore: z.object({ to: z.string() }) })

/** What the backup was called that a reset goes back to; undefined: to none, or that is not known. */
function toOf({ outcome, plan }: RunRow): string | undefined {
  return Outcome.safeParse(outcome).data?.to?.name ?? Planned.safeParse(plan).data?.restore.to
}

function sentenceOf(name: string, message: string): string {
  return `${name}: ${cut(message, messageMaxBytes, 'the run has all of it')}`
}

/** As console/route.ts makes it. */
function linkTo({ PAGE_URL }: Named, runId: string | null): string | null {
  if (PAGE_URL === undefined) return null
  const page = PAGE_URL.replace(/\/$/, '')
  return runId === null ? `${page}/` : `${page}/#/runs/${encodeURIComponent(runId)}`
}
