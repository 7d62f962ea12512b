import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { utc } from '../../lib/amounts.ts'
import { clock } from '../numbers.ts'
import { Overview } from '../overview/overview.tsx'
import { type Route, routeOf } from '../route.ts'
import { fetched } from './fetched.tsx'
import { useIcon } from './icon.ts'
import { Notice } from './notice.tsx'
import { useSession } from './session.ts'
import { useTitle } from './title.ts'

const titles: Record<Route['view'], string> = {
  overview: 'Overview',
  backups: 'Backups',
  backup: 'Backup',
  runs: 'History',
  run: 'Run',
  unknown: 'Not found',
}

const places = [
  { address: '#/', name: 'Overview', views: ['overview'] },
  { address: '#/backups', name: 'Backups', views: ['backups', 'backup'] },
  { address: '#/runs', name: 'History', views: ['runs', 'run'] },
]

const Backups = fetched(titles.backups, async () => (await import('../backups/backups.tsx')).Backups)
const BackupView = fetched(titles.backup, async () => (await import('../backups/backup-view.tsx')).BackupView)
const History = fetched(titles.runs, async () => (await import('../runs/history.tsx')).History)
const RunView = fetched(titles.run, async () => (await import('../runs/run-view.tsx')).RunView)

/** What stands around every view: which environment this is, the ways, and who is signed in. */
export function Shell({ lostAt }: { lostAt: Date | undefined }) {
  const { session, signOut } = useSession()
  const route = useRoute()
  const main = useFocusOnChange(route)
  useIcon(session)
  const mark = session.protected ? 'protected' : 'open'

  return (
    <>
      <header class={`top ${mark}`}>
        <a class="skip" href={location.hash || '#/'} onClick={() => main.current?.focus()}>
          Skip to the content
        </a>
        <div class="row">
          <p class="brand">
            taskmaster-reset <span class={`mark ${mark}`}>{session.environment}</span>
            {session.protected && <span class="protection">protected: nothing is wiped here</span>}
          </p>
          <nav aria-label="Views">
            {places.map(({ address, name, views }) => (
              <a key={address} href={address} aria-current={views.includes(route.view) ? 'page' : undefined}>
                {name}
              </a>
            ))}
          </nav>
          <p class="who">
            <span class="muted">{session.name}</span>
            <button type="button" class="quiet" onClick={() => signOut()}>
              Sign out
            </button>
          </p>
        </div>
      </header>
      <div class="lost" role="status">
        {lostAt && (
          <Notice kind="attention">
            <strong>Connection lost at {clock(lostAt)}.</strong> What you see is from before. A run goes on
            without this page; it tries again by itself.
          </Notice>
        )}
      </div>
      <main ref={main} tabIndex={-1}>
        {route.view !== 'run' && <Title key={route.view} says={titles[route.view]} />}
        <View route={route} />
      </main>
      <footer class="muted">
        Version {session.version} · The token "{session.name}"{' '}
        {session.expiresAt === null ? 'never expires' : `expires on ${utc(session.expiresAt)}`}
      </footer>
    </>
  )
}

/** Of a view that has nothing more to say in it. */
function Title({ says }: { says: string }) {
  useTitle(says)
  return null
}

function View({ route }: { route: Route }) {
  if (route.view === 'overview') return <Overview />
  if (route.view === 'backups') return <Backups />
  if (route.view === 'backup') return <BackupView key={route.backupId} backupId={route.backupId} />
  if (route.view === 'runs') return <History />
  if (route.view === 'run') return <RunView key={route.runId} runId={route.runId} />
  return (
    <>
      <h1>There is no such view</h1>
      <p>
        The address may be mistyped. <a href="#/">Go to the overview</a>.
      </p>
    </>
  )
}

function useRoute(): Route {
  const [address, setAddress] = useState(location.hash)
  useEffect(() => {
    const follow = () => setAddress(location.hash)
    window.addEventListener('hashchange', follow)
    follow() // it may have changed since the page was drawn
    return () => window.removeEventListener('hashchange', follow)
  }, [])
  return useMemo(() => routeOf(address), [address])
}

/** A new view begins at its top, for the keyboard and the screen reader too; the first one is left to the browser. */
function useFocusOnChange(route: Route) {
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  useEffect(() => {
    if (first.current) first.current = false
    else {
      window.scrollTo(0, 0)
      main.current?.focus()
    }
  }, [route])
  return main
}
