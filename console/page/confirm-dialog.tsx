import type { ComponentChildren, TargetedSubmitEvent } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { attempt } from './attempt.ts'
import { Failure } from './notice.tsx'
import { useSession } from './session.ts'
import { Where } from './where.tsx'

type Props = {
  title: string
  /** What the button does, with its counts. */
  action: string
  /** Marks the button as one that takes something away. */
  destructive: boolean
  /** Why it cannot be done yet; the button waits for it. */
  obstacle?: string | undefined
  children: ComponentChildren
  onConfirm: () => Promise<void>
  onClose: () => void
}

/**
 * States the consequences and wants the environment's name typed. The browser keeps the focus inside, closes it with
 * Escape and gives the focus back to the button that opened it.
 */
export function ConfirmDialog({ title, action, destructive, obstacle, children, onConfirm, onClose }: Props) {
  const { environment } = useSession().session
  const dialog = useRef<HTMLDialogElement>(null)
  const [typed, setTyped] = useState('')
  const [error, setError] = useState<Error>()
  const [isBusy, setBusy] = useState(false)
  const id = useId()
  const field = useRef<HTMLInputElement>(null)
  // Before it is painted: what is typed right away is meant for it. What stands above is read first.
  useLayoutEffect(() => {
    dialog.current?.showModal()
    field.current?.focus({ preventScroll: true })
  }, [])

  async function confirm(event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    if (isBusy) return
    if (typed.trim() !== environment) {
      const said = typed.trim() === '' ? 'Nothing was typed' : `"${typed.trim()}" was typed`
      setError(new Error(`${said}, but the environment is called "${environment}". Nothing was started.`))
      return
    }
    setBusy(true)
    if (await attempt(setError, onConfirm)) dialog.current?.close()
    else setBusy(false)
  }

  return (
    <dialog
      ref={dialog}
      aria-labelledby={`${id}-title`}
      onClose={onClose}
      onCancel={(event) => isBusy && event.preventDefault()}
    >
      <form onSubmit={confirm} noValidate>
        <h2 id={`${id}-title`}>{title}</h2>
        {children}
        <Where />
        <label class="field">
          <span>
            Type <strong>{environment}</strong> to confirm
          </span>
          <input
            ref={field}
            type="text"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
          />
        </label>
        {error && <Failure error={error} />}
        {obstacle && <p class="muted">{obstacle}</p>}
        <div class="actions end">
          <button type="button" disabled={isBusy} onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            class={destructive ? 'danger solid' : 'primary'}
            disabled={isBusy || obstacle !== undefined}
          >
            {isBusy ? 'Starting …' : action}
          </button>
        </div>
      </form>
    </dialog>
  )
}
