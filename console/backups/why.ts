import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { operationOf } from '../../lib/operations.ts'
import { askedBy } from '../runs/wording.ts'

/** Why a backup was taken: by itself, or before something was wiped or replaced; and who asked for it. One that was uploaded has no run. */
export function whyOf(
  run: BackupAnswer['run'],
  imported?: BackupAnswer['imported'],
): { why: string; who: string | null } {
  if (imported !== undefined) return { why: 'Uploaded', who: askedBy(imported.by) }
  if (run === null) return { why: 'Not known', who: null }
  const { operation, requestedBy } = run
  const isScheduled = requestedBy?.startsWith('schedule') ?? false
  const changes = operationOf(operation)?.changes ?? null
  const who = askedBy(requestedBy)
  if (operation === 'restore') return { why: 'Before a restore', who }
  if (changes !== null) return { why: isScheduled ? 'Before a scheduled reset' : 'Before a reset', who }
  return { why: isScheduled ? 'Scheduled' : 'By hand', who }
}

/** Why the retention keeps it; null: it was not asked. */
export function keptSentence(kept: BackupAnswer['kept']): string | null {
  if (kept === null) return null
  return kept.length === 0 ? 'Goes with the next prune.' : `Kept: ${kept.join('; ')}.`
}
