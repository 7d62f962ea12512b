import { bytes, utc } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { ago, listed } from '../numbers.ts'
import { Bar } from '../overview/bar.tsx'
import { titleOf } from '../overview/consequences.ts'
import { backupAddress, runAddress } from '../route.ts'
import { Badges, Labels } from './badges.tsx'
import { isProvedEarlier } from './proof.ts'
import { keptSentence, whyOf } from './why.ts'

type Props = {
  backups: readonly BackupAnswer[]
  /** Why each is kept, as far as that was asked. */
  kept: ReadonlyMap<string, string[]>
}

export function List({ backups, kept }: Props) {
  const now = new Date()
  const most = Math.max(1, ...backups.map(({ bytes: size }) => size))
  return (
    <div class="panel">
      <table>
        <caption class="unseen">Sealed backups, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Backup</th>
            <th scope="col" class="wide">
              Why
            </th>
            <th scope="col">Proof</th>
            <th scope="col" class="number wide">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {backups.map((backup) => (
            <tr key={backup.backupId}>
              <th scope="row">
                <a href={backupAddress(backup.backupId)}>
                  <time dateTime={backup.startedAt}>{utc(backup.startedAt)}</time>
                </a>{' '}
                <Labels labels={backup.labels} />
                {backup.note && <span class="sub note">{backup.note}</span>}
                <span class="sub">
                  {ago(now, backup.startedAt)} · {titleOf(backup.strategy)} · {listed(backup)}
                  <span class="narrow"> · {bytes(backup.bytes)}</span>
                </span>
                <Kept reasons={kept.get(backup.backupId) ?? null} />
              </th>
              <td class="wide told">
                <Why backup={backup} />
              </td>
              <td>
                <Badges backup={backup} />
                <span class="sub">
                  {isProvedEarlier(backup)
                    ? `oldest proof ${ago(now, backup.rehearsedAt)}`
                    : utc(backup.rehearsedAt ?? backup.sealedAt)}
                </span>
              </td>
              <td class="number wide">
                {bytes(backup.bytes)}
                <Bar share={{ goes: backup.bytes, stays: 0, estimated: false }} most={most} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Why({ backup: { run, imported } }: { backup: BackupAnswer }) {
  const { why, who } = whyOf(run, imported)
  return (
    <>
      {run === null ? why : <a href={runAddress(run.runId)}>{why}</a>}
      {who && <span class="sub">{who}</span>}
    </>
  )
}

function Kept({ reasons }: { reasons: string[] | null }) {
  const says = keptSentence(reasons)
  return says && <span class="sub">{says}</span>
}
