import { useState } from 'preact/hooks'
import { utc } from '../../../lib/amounts.ts'
import type { ToldSchedule } from '../../../lib/run/schedule/told.ts'
import { useLive } from '../../page/live.ts'
import { Failure, Loading } from '../../page/notice.tsx'
import { useSession } from '../../page/session.ts'
import { titleOf } from '../../runs/wording.ts'

/** Next times that are shown of each. */
const shown = 3

/** All that begins by itself, asked for when somebody wants to see it: the strip has what comes first. */
export function Schedules() {
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>All schedules</summary>
      {isOpen && <All />}
    </details>
  )
}

function All() {
  const { api } = useSession()
  const { data, refused } = useLive('schedules', api.schedules, () => 60_000)
  if (data === undefined) return refused ? <Failure error={refused} /> : <Loading what="the schedules" />
  if (data.schedules.length === 0) return <p class="muted">Nothing is scheduled.</p>
  return (
    <ul>
      {data.schedules.map((schedule) => (
        <li key={schedule.name}>
          <strong>{schedule.name}</strong> {whatOf(schedule)}{' '}
          <span class="muted">
            {schedule.expression} {schedule.timeZone}
          </span>
          <br />
          {nextOf(schedule)}
        </li>
      ))}
    </ul>
  )
}

function whatOf({ operation, strategy, to }: ToldSchedule): string {
  return `${titleOf({ operation, strategy, dryRun: false })}${to === null ? '' : `, to ${to}`}`
}

function nextOf({ state, next }: ToldSchedule): string {
  if (state === 'DISABLED') return 'Switched off.'
  if (next.length === 0) return 'When it begins next is not known, or never.'
  return `Next: ${next
    .slice(0, shown)
    .map((time) => utc(time))
    .join(', ')}.`
}
