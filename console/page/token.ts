/** The token lives as long as the tab: never in a cookie, and not in what other tabs or the next visit could read. */
const place = 'taskmaster-reset token'

export function keptToken(): string | null {
  return sessionStorage.getItem(place)
}

export function keepToken(token: string): void {
  sessionStorage.setItem(place, token)
}

export function forgetToken(): void {
  sessionStorage.removeItem(place)
}
