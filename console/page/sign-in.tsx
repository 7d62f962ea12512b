import type { TargetedSubmitEvent } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { targets } from '../../lib/store.ts'
import { Notice } from './notice.tsx'

type Props = {
  /** Why the last token did not open the page, or why it was left. */
  reason: string | undefined
  isBusy: boolean
  onToken: (token: string) => void
}

export function SignIn({ reason, isBusy, onToken }: Props) {
  const [token, setToken] = useState('')
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => {
    document.title = 'Sign in · taskmaster-reset'
    field.current?.focus()
  }, [])

  function submit(event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    if (token.trim() !== '') onToken(token.trim())
  }

  return (
    <main class="sign-in">
      <h1>taskmaster-reset</h1>
      <p>
        Puts this environment’s {new Intl.ListFormat('en-GB').format(targets)} back to zero, and back again.
      </p>
      <form onSubmit={submit}>
        <label class="field">
          <span>Access token</span>
          <input
            ref={field}
            type="password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            autocomplete="off"
            required
          />
        </label>
        {reason && (
          <Notice kind="attention" announced>
            <p>{reason}</p>
          </Notice>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Signing in …' : 'Sign in'}
        </button>
      </form>
      <p class="muted">
        The token is kept until the last tab of this page is closed. Whoever runs the service makes one with{' '}
        <code>npm run -s cli -- token</code>.
      </p>
    </main>
  )
}
