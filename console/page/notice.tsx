import type { ComponentChildren } from 'preact'
import { Refused } from '../api.ts'
import { runAddress } from '../route.ts'
import { sentence } from './sentence.ts'

type Props = { kind: 'info' | 'attention' | 'protected'; children: ComponentChildren; announced?: boolean }

/** A message with a mark beside it, so that it is not told by colour alone. */
export function Notice({ kind, children, announced = false }: Props) {
  return (
    <div class={`notice ${kind}`} role={announced ? 'alert' : undefined}>
      {children}
    </div>
  )
}

/** Why something did not work, in the API's own words: what, why, and what to do. */
export function Failure({ error }: { error: Error }) {
  const activeRunId = error instanceof Refused ? error.activeRunId : undefined
  return (
    <Notice kind="attention" announced>
      <strong>{error instanceof Refused ? error.title : 'No answer'}</strong>
      <p>{sentence(error.message)}</p>
      {activeRunId && (
        <p>
          <a href={runAddress(activeRunId)}>Watch the active run</a>
        </p>
      )}
    </Notice>
  )
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      Loading {what} …
    </p>
  )
}
