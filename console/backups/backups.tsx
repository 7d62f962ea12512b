import { useMemo, useRef, useState } from 'preact/hooks'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import type { BackupPage, Wanted } from '../api.ts'
import { attempt } from '../page/attempt.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { Filters } from './filters.tsx'
import { List } from './list.tsx'

type Older = BackupPage & { about: string }

/** The sealed backups, newest first, page by page; those that are looked for. */
export function Backups() {
  const { api } = useSession()
  const [wanted, setWanted] = useState<Wanted>({})
  const [found, setOlder] = useState<Older>()
  const [error, setError] = useState<Error>()
  const about = JSON.stringify(wanted)
  const kept = useKept()
  const { data, refused } = useLive(
    `backups ${about}`,
    async () => kept.note(await api.backups(wanted, { kept: kept.isAsked() })),
    () => 30_000,
  )
  const older = found?.about === about ? found : undefined
  const backups = useMemo(() => onceEach(data?.backups, older?.backups), [data, older])
  const unreadable = onceEach(data?.unreadable, older?.unreadable)
  const next = older ? older.next : data?.next
  const isFiltered = Object.keys(wanted).length > 0

  const more = (before: string) =>
    attempt(setError, async () => {
      const page = kept.note(await api.backups(wanted, { before, kept: true }))
      setOlder({
        about,
        backups: onceEach(older?.backups, page.backups),
        unreadable: onceEach(older?.unreadable, page.unreadable),
        next: page.next,
      })
    })

  return (
    <>
      <h1>Backups</h1>
      <Filters wanted={wanted} onChange={setWanted} />
      {refused && <Failure error={refused} />}
      {!data && !refused && <Loading what="the backups" />}
      {data && backups.length === 0 && (
        <p class="empty">
          {next ? (
            `None so far${isFiltered ? ' is like that' : ''}. Older backups were not looked at yet.`
          ) : isFiltered ? (
            'None of the backups is like that.'
          ) : unreadable.length > 0 ? (
            'None that can be read.'
          ) : (
            <>
              No backup yet. A reset takes one first, unless it is told not to; <a href="#/">the overview</a>{' '}
              can also take one by itself.
            </>
          )}
        </p>
      )}
      {backups.length > 0 && <List backups={backups} kept={kept.reasons} />}
      {error && <Failure error={error} />}
      {next && (
        <button type="button" onClick={() => void more(next)}>
          Show older backups
        </button>
      )}
      {unreadable.map(({ backupId, reason }) => (
        <Notice key={backupId} kind="attention">
          <strong>{backupId} cannot be read.</strong> <p>{reason}</p>
        </Notice>
      ))}
    </>
  )
}

/** Those of several pages, which may have moved meanwhile. */
function onceEach<One extends { backupId: string }>(...pages: (readonly One[] | undefined)[]): One[] {
  const all = pages.flatMap((page) => page ?? [])
  return [...new Map(all.map((one) => [one.backupId, one])).values()]
}

/** Why backups are kept: asked once, because all of them are read for it, and remembered while the list is looked at. */
function useKept() {
  const reasons = useRef(new Map<string, string[]>()).current
  return {
    reasons,
    isAsked: () => reasons.size === 0,
    note<Page extends { backups: BackupAnswer[] }>(page: Page): Page {
      for (const { backupId, kept } of page.backups) if (kept !== null) reasons.set(backupId, kept)
      return page
    },
  }
}
