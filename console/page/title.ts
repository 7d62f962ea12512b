import { useEffect } from 'preact/hooks'
import { useSession } from './session.ts'

/** The tab says what it shows, and of which environment: several are open at once. */
export function useTitle(says: string): void {
  const { environment } = useSession().session
  useEffect(() => {
    document.title = `${says.charAt(0).toUpperCase()}${says.slice(1)} · ${environment}`
  }, [says, environment])
}
