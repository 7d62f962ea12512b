import { z } from 'zod'
import { bytes, counted } from '../../lib/amounts.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { visibleName } from '../../lib/visible.ts'
import { seconds, table } from './text.ts'

/** The end of a run in a few lines. */
export function showOutcome(outcome: Outcome, repeats?: string): string {
  const { database, files, cache } = outcome.targets
  const took = seconds(Date.parse(outcome.finishedAt) - Date.parse(outcome.startedAt))
  const tables = Object.keys(database.tables).length
  return [
    repeats === undefined ? '' : 'The same request was sent before; this is its run.\n',
    `Run ${outcome.runId} (${[outcome.operation, outcome.strategy].filter(Boolean).join(' ')}) ${words[outcome.status]} after ${took}.\n`,
    outcome.error === null ? '' : `\n${outcome.error.name}: ${visibleName(outcome.error.message)}\n`,
    outcome.subject === undefined ? '' : showSubject(outcome.subject),
    ['claim', 'verify', 'delete'].includes(outcome.operation)
      ? ''
      : `\n${table([
          ['database', database.state, `${counted(database.rows, 'row')} in ${counted(tables, 'table')}`],
          ['files', files.state, `${counted(files.objects, 'file')}, ${bytes(files.bytes)}`],
          ['cache', cache.state, counted(cache.keys, 'key')],
        ])}`,
    outcome.backupPrefix === null ? '' : `\nBackup: ${outcome.backupPrefix}\n`,
    outcome.warnings.map(({ code, message }) => `\nWarning ${code}: ${visibleName(message)}\n`).join(''),
  ].join('')
}

function showSubject({ backupId, state, objects, bytes: size }: NonNullable<Outcome['subject']>): string {
  return `\n${table([[backupId, state.replace('_', ' '), counted(objects, 'object'), bytes(size)]])}`
}

const words: Record<Outcome['status'], string> = {
  succeeded: 'succeeded',
  succeeded_with_warnings: 'succeeded, with warnings,',
  failed: 'failed',
}

const count = z.number()
const Planned = z.object({
  clears: z.array(z.string()),
  database: z
    .object({
      tables: z.array(z.object({ name: z.string(), action: z.string(), rows: count, keptRows: count })),
    })
    .nullable(),
  files: z
    .object({ objects: count, bytes: count, preservedObjects: count, preservedBytes: count })
    .nullable(),
  cache: z.object({ keys: count, preservedKeys: count }).nullable(),
})

/** What a dry run found that a run would do. */
export function showPlan(plan: unknown): string {
  const { database, files, cache } = Planned.parse(plan)
  const rows = (database?.tables ?? []).map(({ name, action, rows, keptRows }) => [
    name,
    counted(rows, 'row'),
    action === 'keep' ? 'kept' : action === 'delete rows' ? `keeps ${counted(keptRows, 'row')}` : 'wiped',
  ])
  if (files !== null) {
    rows.push([
      'files',
      `${counted(files.objects, 'file')}, ${bytes(files.bytes)}`,
      kept(files.preservedObjects, 'file'),
    ])
  }
  if (cache !== null) rows.push(['cache', counted(cache.keys, 'key'), kept(cache.preservedKeys, 'key')])
  return `\nDry run: nothing was written. A reset with this request would do this:\n${table(rows)}`
}

function kept(preserved: number, one: string): string {
  return preserved === 0 ? 'wiped' : `keeps ${counted(preserved, one)}`
}
