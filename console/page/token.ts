/**
 * The token lives as long as a tab of this page is open: never in a cookie, and not in what the next visit could read. A new
 * tab asks the others for it.
 * @see docs/decisions.md#tabs-hand-the-token-to-one-another
 */
const place = 'taskmaster-reset token'

type Message = { asks: true } | { token: string } | { forgets: string }
/** Reaches pages of this address in this browser alone, and none that is in a frame. */
const others = new BroadcastChannel(place)
const say = (message: Message) => others.postMessage(message)

export function keptToken(): string | null {
  return sessionStorage.getItem(place)
}

export function keepToken(token: string): void {
  sessionStorage.setItem(place, token)
}

/** In the other tabs as well: they would hand it back. */
export function forgetToken(): void {
  const token = keptToken()
  sessionStorage.removeItem(place)
  if (token !== null) say({ forgets: token })
}

/** Milliseconds that the others have to answer; a tab that sleeps does not. */
const patienceMs = 250

/** The token of another tab, which was known when it was kept; null: none has one. */
export function tokenOfOthers(): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>()
  const hear = ({ data }: MessageEvent<Message>) => 'token' in data && resolve(data.token)
  others.addEventListener('message', hear)
  say({ asks: true })
  setTimeout(() => resolve(null), patienceMs)
  return promise.finally(() => others.removeEventListener('message', hear))
}

/** Answers tabs that ask, and says when another one has signed out. @returns what ends it */
export function answerOthers(onForgotten: () => void): () => void {
  function hear({ data }: MessageEvent<Message>): void {
    const token = keptToken()
    if (token === null) return
    if ('asks' in data) say({ token })
    if ('forgets' in data && data.forgets === token) {
      sessionStorage.removeItem(place)
      onForgotten()
    }
  }
  others.addEventListener('message', hear)
  return () => others.removeEventListener('message', hear)
}
