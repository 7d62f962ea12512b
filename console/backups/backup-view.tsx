import { useState } from 'preact/hooks'
import { bytes, utc } from '../../lib/amounts.ts'
import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { ago, listed } from '../numbers.ts'
import { titleOf } from '../overview/consequences.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { useSession } from '../page/session.ts'
import { runAddress } from '../route.ts'
import { ActiveRun, useRuns } from '../runs/active-run.tsx'
import { Actions } from './actions.tsx'
import { Badges, Labels } from './badges.tsx'
import { Parts } from './parts.tsx'
import { originOf, proofOf } from './proof.ts'
import { keptSentence, whyOf } from './why.ts'

/** One backup: what it holds, how it is proved, and what can be done with it. */
export function BackupView({ backupId }: { backupId: string }) {
  const { api } = useSession()
  const {
    data: backup,
    refused,
    reload,
  } = useLive(
    backupId,
    () => api.backup(backupId),
    () => 30_000,
  )
  // Asked beside it and once, because all backups are read for it: it is not waited for.
  const { data: kept = null, reload: askWhyKept } = useLive(
    `${backupId} kept`,
    () => api.kept(backupId),
    () => null,
  )
  const { active } = useRuns()
  const [error, setError] = useState<Error>()
  if (!backup) {
    return (
      <>
        <h1>Backup</h1>
        {refused ? <Failure error={refused} /> : <Loading what="the backup" />}
        <a href="#/backups">All backups</a>
      </>
    )
  }
  const onChanged = () => {
    reload()
    askWhyKept()
  }
  return (
    <>
      <div class="title">
        <h1>
          Backup of <time dateTime={backup.startedAt}>{utc(backup.startedAt)}</time>
        </h1>
        <p class="lead">
          <Labels labels={backup.labels} /> <Badges backup={backup} /> {listed(backup)}
        </p>
      </div>
      {active && <ActiveRun run={active} />}
      {refused && <Failure error={refused} />}
      <Actions backup={backup} active={active} onChanged={onChanged} onError={setError} />
      {error && <Failure error={error} />}
      <Facts backup={backup} kept={kept} />
      {backup.run && (
        <p>
          <a href={runAddress(backup.run.runId)}>The run that took it</a>
        </p>
      )}
      {backup.warnings.map(({ code, message }) => (
        <Notice key={`${code} ${message}`} kind="attention">
          <strong>{code}</strong> <p>{sentence(message)}</p>
        </Notice>
      ))}
      <Parts backup={backup} onError={setError} />
    </>
  )
}

function Facts({ backup, kept }: { backup: BackupDetails; kept: BackupDetails['kept'] }) {
  const whyKept = keptSentence(kept)
  const { why, who } = whyOf(backup.run, backup.imported)
  const facts: [string, string][] = [
    ...(backup.note === null ? [] : [['Note', backup.note] as [string, string]]),
    ['Age', ago(new Date(), backup.startedAt)],
    ['Size', bytes(backup.bytes)],
    ['Proof', proofOf(backup).text],
    ...(whyKept === null ? [] : [['Retention', whyKept] as [string, string]]),
    [
      'Consistency',
      backup.consistency === null
        ? 'It holds no rows.'
        : backup.consistency === 'snapshot'
          ? 'All rows are of one moment.'
          : 'All rows are of one moment, made so by exporting again what had changed.',
    ],
    ['Origin', originOf(backup)],
    ['Environment', backup.environment],
    ['Strategy', titleOf(backup.strategy)],
    ['Why', who === null ? why : `${why}, by ${who}`],
    ['Id', backup.backupId],
  ]
  return (
    <dl class="facts panel">
      {facts.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  )
}
