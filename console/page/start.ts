import { useRef } from 'preact/hooks'
import type { RunRequest } from '../api.ts'
import { runAddress } from '../route.ts'
import { useSession } from './session.ts'

/**
 * Starts a run and goes to its view. Asked again after a lost answer it finds the run that was started: the key changes
 * only with the request.
 */
export function useStart(): (request: RunRequest) => Promise<void> {
  const { api } = useSession()
  const sent = useRef({ request: '', key: '' })
  return async (request) => {
    const text = JSON.stringify(request)
    if (sent.current.request !== text) sent.current = { request: text, key: crypto.randomUUID() }
    const { runId } = await api.start(request, sent.current.key)
    location.hash = runAddress(runId)
  }
}
