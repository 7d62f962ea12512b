import { bytes, utc } from '../../../lib/amounts.ts'
import { freshnessOf } from '../../../lib/run/status/freshness.ts'
import type { Status } from '../../../lib/run/status/status.ts'
import { ago, number, until } from '../../numbers.ts'
import { Mark } from '../../page/mark.tsx'
import { backupAddress } from '../../route.ts'
import { titleOf } from '../../runs/wording.ts'
import { Nights } from './nights.tsx'
import { Schedules } from './schedules.tsx'
import { Storage } from './storage.tsx'

/** Whether one can sleep, at a glance. */
export function StatusStrip({ status }: { status: Status }) {
  const now = new Date()
  const { lastProved, next, backups, nights, storage, unseenLabels } = status
  const { standing, says } = freshnessOf(status, now)
  return (
    <section aria-labelledby="status" class="panel status">
      <h2 id="status" class="unseen">
        Status
      </h2>
      <dl class="figures">
        <div>
          <dt>Last proved backup</dt>
          <dd class="figure">
            <Mark standing={standing} />{' '}
            {lastProved === null ? (
              'none'
            ) : (
              <a href={backupAddress(lastProved.backupId)}>{ago(now, lastProved.startedAt)}</a>
            )}
          </dd>
          <dd class="muted">
            {lastProved && `${lastProved.rehearsedAt === null ? 'Read back' : 'Rehearsed'}. `}
            {says}
          </dd>
        </div>
        <div>
          <dt>Next run</dt>
          <dd class="figure">{next === null ? 'none' : until(now, next.at)}</dd>
          <dd class="muted">
            {next === null
              ? 'Nothing is scheduled.'
              : `${titleOf({ ...next, dryRun: false })}${next.to === null ? '' : `, to ${next.to}`}; ${utc(next.at)}.`}
          </dd>
        </div>
        <div>
          <dt>Backups</dt>
          <dd class="figure">
            {number(backups.count)} <span class="muted">{bytes(backups.bytes)}</span>
          </dd>
          {backups.older > 0 && (
            <dd class="muted">The newest; {number(backups.older)} older not looked at.</dd>
          )}
          {unseenLabels.length > 0 && (
            <dd class="muted">
              No time to look at the label{unseenLabels.length === 1 ? '' : 's'} {unseenLabels.join(', ')}.
            </dd>
          )}
          <dd>
            <Storage storage={storage} />
          </dd>
        </div>
      </dl>
      <Schedules />
      <div class="nightly">
        <h3>Last thirty nights</h3>
        <Nights nights={nights} />
      </div>
    </section>
  )
}
