import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Session } from '../../lib/http/answers/session.ts'
import { connect, Refused } from '../api.ts'
import { Loading } from './notice.tsx'
import { SignedInProvider } from './session.ts'
import { Shell } from './shell.tsx'
import { SignIn } from './sign-in.tsx'
import { answerOthers, forgetToken, keepToken, keptToken, tokenOfOthers } from './token.ts'

/** The page: signing in, or everything else. */
export function App() {
  const [token, setToken] = useState(keptToken)
  const [isAsking, setAsking] = useState(token === null)
  const [session, setSession] = useState<Session>()
  const [reason, setReason] = useState<string>()
  const [lostAt, setLostAt] = useState<Date>()

  // A tab that was opened from another one is signed in as that is.
  useEffect(() => {
    if (isAsking)
      void tokenOfOthers().then((found) => {
        setToken(found)
        setAsking(false)
      })
    return answerOthers(() => leave('Another tab of this page has signed out.'))
  }, [])

  function leave(why?: string): void {
    forgetToken()
    setToken(null)
    setSession(undefined)
    setReason(why)
    setLostAt(undefined)
  }

  const api = useMemo(
    () =>
      token === null
        ? null
        : connect(token, {
            onUnauthorized: ({ message }) =>
              leave(`The service does not know this token, or no longer. ${message}`),
            onReach: (reached) => setLostAt((before) => (reached ? undefined : (before ?? new Date()))),
          }),
    [token],
  )

  useEffect(() => {
    if (api === null || token === null) return
    api.session().then(
      (found) => {
        keepToken(token)
        setReason(undefined)
        setSession(found)
      },
      (error: Error) => {
        if (error instanceof Refused && error.status === 401) return
        // The token may be right: it is kept, and tried again when the page is loaded again.
        setToken(null)
        setReason(error.message)
        setLostAt(undefined)
      },
    )
  }, [api, token])

  if (api !== null && session !== undefined) {
    return (
      <SignedInProvider value={{ api, session, signOut: leave }}>
        <Shell lostAt={lostAt} />
      </SignedInProvider>
    )
  }
  if (isAsking || (token !== null && keptToken() === token))
    return (
      <main class="sign-in">
        <h1>taskmaster-reset</h1>
        <Loading what="the page" />
      </main>
    )
  return <SignIn reason={reason} isBusy={token !== null} onToken={setToken} />
}
