/** A message as a sentence: errors of the service end without a period where they are one clause. */
export function sentence(text: string): string {
  return /[.!?:…"')`]$/.test(text.trim()) ? text : `${text}.`
}
