import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { KeyTally } from '../findings.ts'
import { dealtWith, type KeyDigests } from '../key-digests.ts'
import { KeySet } from '../key-set.ts'
import type { Quarantine } from '../quarantine.ts'

/**
 * Keys that the application wrote again after they had been wiped, or may have. They stay: what they hold now came later,
 * and in the backup it would take the place of what they held before.
 */
export class Rewrites {
  readonly #found = new KeyTally()
  readonly #seen = new KeySet()
  #isUnclear = false
  readonly #quarantine: Quarantine
  readonly #digests: KeyDigests | null

  /** @param digests of what the backup holds; null: there is none, and keys go as often as they come */
  constructor(quarantine: Quarantine, digests: KeyDigests | null) {
    this.#quarantine = quarantine
    this.#digests = digests
  }

  /** The key is not there any more. */
  dealtWith(key: Buffer): void {
    this.#digests?.set(this.#quarantine.nameOf(key), dealtWith)
  }

  /** The key may have been dealt with before, and holds something else than the backup. */
  add(key: Buffer): void {
    this.#isUnclear = true
    this.dealtWith(key)
    this.includes(key, dealtWith)
  }

  /** Whether the key, which is there, had been dealt with, by the digest that is known of it. */
  includes(key: Buffer, digest: string): boolean {
    if (digest !== dealtWith || this.#quarantine.holds(key)) return false
    if (this.#seen.add(key)) this.#found.add(key)
    return true
  }

  warnings(): Warning[] {
    if (this.#found.count === 0) return []
    const when = this.#isUnclear ? ', or perhaps before it' : ''
    const message = `${counted(this.#found.count, 'cache key')} ${agreeing(this.#found.count, 'was', 'were')} written again after the wipe${when}, and left: ${this.#found.names()}`
    return [{ code: 'KeysCameBack', message }]
  }
}
