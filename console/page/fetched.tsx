import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Loading, Notice } from './notice.tsx'

/**
 * A view of which the script is fetched when it is shown for the first time: most visits need one or two of them.
 * @param title its heading until then, as who cannot see the page goes by headings
 */
export function fetched<Props extends object>(title: string, fetch: () => Promise<ComponentType<Props>>) {
  let found: ComponentType<Props> | undefined
  return function Fetched(props: Props) {
    const [isLost, setLost] = useState(false)
    const [, showAgain] = useState(0)
    useEffect(() => {
      // Always: it may have come between this view's drawing and now. A module that is there is not asked for again.
      fetch().then(
        (view) => {
          found = view
          showAgain(1)
        },
        () => setLost(true),
      )
    }, [])
    if (found !== undefined) {
      const View = found
      return <View {...props} />
    }
    return (
      <>
        <h1>{title}</h1>
        {isLost ? <Lost /> : <Loading what="the view" />}
      </>
    )
  }
}

/** Not every browser asks again for a module that did not come. @see docs/decisions.md#views-of-the-page-come-when-they-are-opened */
function Lost() {
  return (
    <Notice kind="attention" announced>
      <p>
        <strong>This part of the page did not come.</strong> The service cannot be reached, or a newer version
        of the page is there. Nothing is lost by loading it again.
      </p>
      <button type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </Notice>
  )
}
