import { bytes, utc } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { ago, listed } from '../numbers.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { backupAddress } from '../route.ts'
import { Badges } from './badges.tsx'
import { isProvedEarlier } from './proof.ts'

/** The sealed backups, newest first. */
export function Backups() {
  const { api } = useSession()
  const { data, refused } = useLive('backups', api.backups, () => 30_000)
  return (
    <>
      <h1>Backups</h1>
      {refused && <Failure error={refused} />}
      {!data && !refused && <Loading what="the backups" />}
      {data?.backups.length === 0 && (
        <p class="empty">
          No backup yet. A reset takes one first, unless it is told not to; <a href="#/">the overview</a> can
          also take one by itself.
        </p>
      )}
      {data && data.backups.length > 0 && <List backups={data.backups} />}
      {data?.unreadable.map(({ backupId, reason }) => (
        <Notice key={backupId} kind="attention">
          <strong>{backupId} cannot be read.</strong> <p>{reason}</p>
        </Notice>
      ))}
    </>
  )
}

function List({ backups }: { backups: BackupAnswer[] }) {
  const now = new Date()
  return (
    <div class="panel">
      <table>
        <caption class="unseen">Sealed backups, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Backup</th>
            <th scope="col" class="wide">
              Age
            </th>
            <th scope="col" class="number wide">
              Size
            </th>
            <th scope="col">Proof</th>
          </tr>
        </thead>
        <tbody>
          {backups.map((backup) => (
            <tr key={backup.backupId}>
              <th scope="row">
                <a href={backupAddress(backup.backupId)}>
                  <time dateTime={backup.startedAt}>{utc(backup.startedAt)}</time>
                </a>
                <span class="sub">
                  {listed(backup)}
                  <span class="narrow"> · {bytes(backup.bytes)}</span>
                </span>
              </th>
              <td class="wide">{ago(now, backup.startedAt)}</td>
              <td class="number wide">{bytes(backup.bytes)}</td>
              <td>
                <Badges backup={backup} />
                {isProvedEarlier(backup) && (
                  <span class="sub">oldest proof {ago(now, backup.rehearsedAt)}</span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
