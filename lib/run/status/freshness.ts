import { counted } from '../../amounts.ts'
import type { Status } from './status.ts'

const hourMs = 3_600_000

/** A backup takes its time, and one that is a little late is not missing. */
const margin = 1.1

export type Freshness = {
  /** `plain`: there is nothing to go by. */
  standing: 'good' | 'attention' | 'failed' | 'plain'
  says: string
}

/** Whether the newest backup is as new as the schedule makes one expect. */
export function freshnessOf(
  { lastProved, dueEveryHours, backups }: Pick<Status, 'lastProved' | 'dueEveryHours' | 'backups'>,
  now: Date,
): Freshness {
  const unseen = backups.older > 0 ? 'None that was looked at' : null
  if (dueEveryHours === null) {
    const none = `${unseen ?? 'No backup yet'}, and no schedule that takes one.`
    const says = lastProved === null ? none : 'No schedule takes one.'
    return { standing: lastProved === null ? 'attention' : 'plain', says }
  }
  const every = `the schedule takes one every ${period(dueEveryHours)}`
  if (lastProved === null) return { standing: 'failed', says: `${unseen ?? 'None yet'}, though ${every}.` }
  const hours = (now.getTime() - Date.parse(lastProved.startedAt)) / hourMs
  if (hours <= dueEveryHours * margin) return { standing: 'good', says: `In time: ${every}.` }
  if (hours <= dueEveryHours * 2 * margin) return { standing: 'attention', says: `One is overdue: ${every}.` }
  return { standing: 'failed', says: `More than one is missing: ${every}.` }
}

/** `24 hours`, `hour`, `15 minutes`. */
function period(hours: number): string {
  if (hours < 1) return counted(Math.round(hours * 60), 'minute')
  const whole = Math.round(hours)
  return whole === 1 ? 'hour' : counted(whole, 'hour')
}
