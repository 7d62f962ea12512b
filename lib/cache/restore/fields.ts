import { expiryOf, withoutExpiry } from '../value/field-expiry.ts'
import type { Item } from '../value/pages.ts'
import type { DecodedLine } from '../value/part-lines.ts'

/** The server's time, and whether it lets fields of a hash expire. */
export type FieldsAt = { now: number; ofFields: boolean }

/** The line as it can be written: without the fields whose time is up, and without a time where the server keeps none. */
export function asWritten(line: DecodedLine, { now, ofFields }: FieldsAt): DecodedLine {
  if (line.type !== 'hash' || line.items.every((item) => expiryOf(item) === null)) return line
  const items = line.items.filter((item) => !isOver(item, now))
  return { ...line, items: ofFields ? items : withoutExpiry(items) }
}

/** Whether nothing of a key is left, by its first line: its own time is up, or that of all its fields. */
export function isExpired({ type, whole, items, expiresAt }: DecodedLine, now: number): boolean {
  const isEmpty = whole && type === 'hash' && items.every((item) => isOver(item, now))
  return isEmpty || (expiresAt !== null && expiresAt <= now)
}

/** Whether a field's time is up. */
export function isOver(item: Item, now: number): boolean {
  return (expiryOf(item) ?? Number.POSITIVE_INFINITY) <= now
}
