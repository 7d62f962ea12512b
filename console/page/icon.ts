import { useEffect } from 'preact/hooks'
import type { Session } from '../../lib/http/answers/session.ts'

/** As --protected-solid. */
const purple = '#6425c4'

/** A colour for each environment, so that its tabs are told apart; that of what is protected is no other's. */
export function colourOf({
  environment,
  protected: isProtected,
}: Pick<Session, 'environment' | 'protected'>): string {
  if (isProtected) return purple
  let hash = 0
  for (const character of environment) hash = (hash * 31 + character.charCodeAt(0)) % 10_007
  return `hsl(${hash % 240} 65% 38%)` // up to blue: purple is left out
}

export function useIcon(session: Session): void {
  const colour = colourOf(session)
  useEffect(() => {
    const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="${colour}"/><path d="M11.5 5.2A4.3 4.3 0 1 0 12.3 9M12 2.8v2.9H9.1" fill="none" stroke="#fff" stroke-width="1.5"/></svg>`
    document
      .querySelector('link[rel=icon]')
      ?.setAttribute('href', `data:image/svg+xml,${encodeURIComponent(image)}`)
  }, [colour])
}
