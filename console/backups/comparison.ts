import { useEffect, useRef, useState } from 'preact/hooks'
import type { Run } from '../../lib/http/answers/run.ts'
import type { RunRequest } from '../api.ts'
import { useSession } from '../page/session.ts'
import { isActive } from '../runs/wording.ts'

export type Comparison = {
  /** The dry run that looks at what a restore would change. */
  run: Run | undefined
  isAtWork: boolean
  error: Error | undefined
  begin: () => void
}

const everyMs = 1000

/** What the restore would change, found out by its dry run; another request starts over. */
export function useComparison(request: Extract<RunRequest, { operation: 'restore' }>): Comparison {
  const { api } = useSession()
  const about = JSON.stringify(request)
  const [found, setFound] = useState<{ about: string; run?: Run; error?: Error; isAtWork: boolean }>()
  const isOver = useRef(false)
  useEffect(
    () => () => {
      isOver.current = true
    },
    [],
  )

  async function compare(): Promise<void> {
    setFound({ about, isAtWork: true })
    try {
      const { runId } = await api.start({ ...request, dryRun: true }, crypto.randomUUID())
      let run = await api.run(runId)
      while (isActive(run) && !isOver.current) {
        await new Promise((resolve) => setTimeout(resolve, everyMs))
        run = await api.run(runId)
      }
      setFound({ about, run, isAtWork: false })
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown
      setFound({ about, error: thrown, isAtWork: false })
    }
  }

  const mine = found?.about === about ? found : undefined
  return {
    run: mine?.run,
    isAtWork: found?.isAtWork ?? false,
    error: mine?.error,
    begin: () => void compare(),
  }
}
