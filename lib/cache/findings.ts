import { isUtf8 } from 'node:buffer'
import { agreeing, counted } from '../amounts.ts'
import type { Warning } from '../backup/manifest.ts'

const examplesKept = 5

/** Characters of a key's name that a message holds. */
const nameLength = 200

/** How many keys something was found of, and the first few of them. */
export class KeyTally {
  count = 0
  readonly examples: Buffer[] = []

  add(key: Buffer): void {
    this.count++
    if (this.examples.length < examplesKept) this.examples.push(Buffer.from(key)) // not the answer that it came in
  }

  /** The examples as text, see nameOfKey. */
  names(): string {
    return `${this.examples.map(nameOfKey).join(', ')}${this.count > this.examples.length ? ', …' : ''}`
  }
}

/** A key as it is named in messages: one that is no UTF-8 in base64, a long one cut, but not inside a character. */
export function nameOfKey(key: Buffer): string {
  const name = isUtf8(key) ? key.toString() : `base64:${key.toString('base64')}`
  return name.length <= nameLength
    ? name
    : `${[...name.slice(0, 2 * nameLength)].slice(0, nameLength).join('')}…`
}

/** What an export came across, over all its pages. */
export class KeyFindings {
  /** Keys that expired or were deleted between the scan and the reading. */
  vanished = 0
  /** Keys of types that a backup cannot hold, by type. */
  readonly unsupported = new Map<string, KeyTally>()
  /** Streams of which the server does not tell what they hold besides their entries. */
  readonly grouped = new KeyTally()
  /** Streams with entries that consumers had taken and not acknowledged, and how many. */
  readonly pending = new KeyTally()
  pendingEntries = 0
  /** Keys that were replaced or deleted while they were read in several answers. */
  readonly torn = new KeyTally()

  addUnsupported(type: string, key: Buffer): void {
    const found = this.unsupported.get(type) ?? new KeyTally()
    found.add(key)
    this.unsupported.set(type, found)
  }

  addPending(key: Buffer, entries: number): void {
    this.pending.add(key)
    this.pendingEntries += entries
  }

  warnings(): Warning[] {
    const warnings = [...this.unsupported].map(([type, found]) => ({
      code: 'KeyTypeUnsupported',
      message: `${counted(found.count, 'cache key')} of the type ${type} cannot be backed up, and will not be wiped either: ${found.names()}`,
    }))
    if (this.grouped.count > 0) {
      warnings.push({
        code: 'ConsumerGroupsLeftOut',
        message: `The server does not tell the last id and the consumer groups of ${counted(this.grouped.count, 'stream')}, so only the entries are in the backup: ${this.grouped.names()}`,
      })
    }
    if (this.pending.count > 0) {
      warnings.push({
        code: 'PendingEntriesLeftOut',
        message: `${counted(this.pendingEntries, 'entry', 'entries')} of ${counted(this.pending.count, 'stream')} ${agreeing(this.pendingEntries, 'was', 'were')} taken by consumers and not acknowledged. The backup holds the entries and how far each group has read, but not that these are pending: ${this.pending.names()}`,
      })
    }
    if (this.torn.count > 0) {
      warnings.push({
        code: 'KeysChangedWhileRead',
        message: `${counted(this.torn.count, 'large cache key')} ${agreeing(this.torn.count, 'was', 'were')} replaced or deleted while being read piece by piece; the backup holds the pieces read before: ${this.torn.names()}`,
      })
    }
    return warnings
  }
}
