import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Session } from '../../lib/http/answers/session.ts'
import type { Api } from '../api.ts'

type SignedIn = { api: Api; session: Session; signOut: () => void }

const Context = createContext<SignedIn | null>(null)
export const SignedInProvider = Context.Provider

/** The API and who is signed in; only below the shell. */
export function useSession(): SignedIn {
  const signedIn = useContext(Context)
  if (signedIn === null) throw new Error('useSession is called outside of the signed-in page')
  return signedIn
}
