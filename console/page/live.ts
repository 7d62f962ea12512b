import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ConnectionLost, Refused } from '../api.ts'

type Live<Data> = {
  /** The last answer; it stays while newer ones cannot be had. */
  data: Data | undefined
  at: Date | undefined
  /** Why the last question was refused. */
  refused: Refused | undefined
  reload: () => void
}

const retryMs = 2000

/**
 * Asks again and again while the page is looked at.
 * @param what names what is asked for; another name starts over
 * @param every milliseconds until the next question, or null when the answer will not change any more
 */
export function useLive<Data>(
  what: string,
  ask: () => Promise<Data>,
  every: (data: Data) => number | null,
): Live<Data> {
  const [answer, setAnswer] = useState<Omit<Live<Data>, 'reload'> & { what: string }>()
  const latest = useRef({ ask, every })
  latest.current = { ask, every }
  const again = useRef(() => {})

  useEffect(() => {
    let over = false
    let timer: ReturnType<typeof setTimeout> | undefined
    let asked = 0

    async function next(): Promise<void> {
      clearTimeout(timer)
      const mine = ++asked
      let wait: number | null
      try {
        const data = await latest.current.ask()
        if (over || mine !== asked) return
        setAnswer({ what, data, at: new Date(), refused: undefined })
        wait = latest.current.every(data)
      } catch (error) {
        if (over || mine !== asked) return
        if (error instanceof Refused) {
          setAnswer((before) => ({
            what,
            data: before?.what === what ? before.data : undefined,
            at: before?.what === what ? before.at : undefined,
            refused: error,
          }))
          wait = error.status === 429 || error.status >= 500 ? retryMs : null
        } else if (error instanceof ConnectionLost) wait = retryMs
        else throw error
      }
      if (wait !== null) timer = setTimeout(whenSeen, wait)
    }

    /** A page in the background asks nothing. */
    function whenSeen(): void {
      if (document.visibilityState === 'visible') void next()
    }

    again.current = () => void next()
    window.addEventListener('online', whenSeen)
    document.addEventListener('visibilitychange', whenSeen)
    void next()
    return () => {
      over = true
      clearTimeout(timer)
      window.removeEventListener('online', whenSeen)
      document.removeEventListener('visibilitychange', whenSeen)
    }
  }, [what])

  const reload = useCallback(() => again.current(), [])
  const { data, at, refused } = answer?.what === what ? answer : {}
  return { data, at, refused, reload }
}
