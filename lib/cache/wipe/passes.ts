import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { ExpectedDigest, KeyFate } from '../compare-and-unlink.ts'
import type { openOwnBackup } from '../export/own-backup.ts'
import { KeyTally } from '../findings.ts'
import { KeySet } from '../key-set.ts'
import { keyScope, preservedBy } from '../keys.ts'
import type { Quarantine } from '../quarantine.ts'
import { keysOfTypes } from '../restore/extras.ts'
import { findDoomed, type KeySelection, wipeOnce } from './pass.ts'
import { Rewrites } from './rewrites.ts'

type Scope = { prefix: string; preserve: readonly string[]; quarantine: Quarantine }

type Wiping = Scope & {
  fence: Fence
  /** The run's backup, and what adds to it; null: there is none, so keys go whatever they hold. */
  held: Awaited<ReturnType<typeof openOwnBackup>> | null
  /** Types of keys that stay. */
  keptTypes: readonly string[]
  /** An earlier try of the step may have deleted keys already. */
  isRepeat: boolean
}

/** As `wipeLimits`. */
export type PassLimits = { pageKeys: number; passes: number; quarantineFrom: number }

/** Passes over the whole cache, each of which deletes what is as in the backup, and adds to the backup what is not. */
export class Passes {
  readonly #tally: { keys: number; late: number }
  readonly #cache: BinaryRedis
  readonly #wiping: Wiping
  readonly #rewrites: Rewrites
  readonly #keptTypes: Set<string>
  readonly #isInScope: (key: Buffer) => boolean

  /** @param tally in which keys that were deleted, and keys that were added to the backup first, are counted on */
  constructor(cache: BinaryRedis, wiping: Wiping, tally: { keys: number; late: number }) {
    this.#tally = tally
    this.#cache = cache
    this.#wiping = wiping
    this.#rewrites = new Rewrites(wiping.quarantine, wiping.held?.digests ?? null)
    this.#keptTypes = new Set(wiping.keptTypes)
    this.#isInScope = inScope(wiping)
  }

  /**
   * Wipes until a pass finds nothing.
   * @param onPage called behind each page of keys
   * @returns `left`: how many keys should have gone and are still there
   */
  async wipe(
    { passes, quarantineFrom, pageKeys }: PassLimits,
    onPage: () => Promise<void>,
  ): Promise<{ left: number; warnings: Warning[] }> {
    let found = 1
    for (let pass = 1, idle = 0; pass <= passes && found > 0 && idle < 2; pass++) {
      const before = this.#tally.keys + this.#tally.late
      found = await this.#pass(this.#selection(pageKeys, pass >= quarantineFrom), onPage)
      // Names that Redis does not delete twice in a row are not going to be deleted.
      idle = this.#tally.keys + this.#tally.late === before ? idle + 1 : 0
    }
    const left = found === 0 ? new KeyTally() : await this.#left(this.#selection(pageKeys, false))
    const warnings = [
      ...(this.#wiping.held?.late.findings.warnings() ?? []),
      ...(left.count === 0 ? [] : [leftWarning(left, passes)]),
      ...this.#rewrites.warnings(),
    ]
    return { left: left.count, warnings }
  }

  #selection(pageKeys: number, quarantines: boolean): KeySelection {
    const { prefix, quarantine } = this.#wiping
    return {
      match: keyScope(prefix).match,
      expected: (key) => this.#expected(key),
      quarantine: quarantines ? quarantine.prefix : null,
      keptTypes: [...this.#keptTypes],
      pageKeys,
    }
  }

  #expected(key: Buffer): ExpectedDigest | null {
    const { held, isRepeat } = this.#wiping
    if (!this.#isInScope(key)) return null
    if (held === null) return '*'
    const digest = held.digests.get(key) ?? ''
    if (this.#rewrites.includes(key, digest)) return null
    return isRepeat && digest !== '' ? `!${digest}` : digest
  }

  async #pass(selection: KeySelection, onPage: () => Promise<void>): Promise<number> {
    const { fence, held } = this.#wiping
    const found = await wipeOnce({ cache: this.#cache, fence }, selection, async (fates) => {
      await this.#settle(fates)
      await onPage()
    })
    this.#tally.late += (await held?.late.commit()) ?? 0
    for (const type of held?.late.findings.unsupported.keys() ?? []) this.#keptTypes.add(type)
    return found
  }

  /** Counts what is gone, and adds to the backup what is there and not as in it. */
  async #settle(fates: ReadonlyMap<Buffer, KeyFate>): Promise<void> {
    const { quarantine, held } = this.#wiping
    const found = Map.groupBy(fates.keys(), (key) => fates.get(key))
    const of = (fate: KeyFate) => found.get(fate) ?? []
    this.#tally.keys += of('deleted').length
    for (const key of [...of('deleted'), ...of('absent')]) this.#rewrites.dealtWith(key)
    const { aside = [], rewritten = [] } = Object.groupBy(of('unclear'), (key) =>
      quarantine.holds(key) ? 'aside' : 'rewritten',
    )
    for (const key of rewritten) this.#rewrites.add(key)
    const renamed = of('renamed')
    await held?.late.add([...of('changed'), ...aside, ...renamed.map(quarantine.keyOf)])
    for (const key of renamed) this.#rewrites.dealtWith(key) // whoever writes to its name now writes a new key
  }

  /** The keys that should have gone and are there, each once. */
  async #left(selection: KeySelection): Promise<KeyTally> {
    const left = new KeyTally()
    const seen = new KeySet()
    for await (const keys of findDoomed(this.#cache, selection)) {
      const kept = await keysOfTypes(this.#cache, keys, selection.keptTypes)
      for (const key of keys) if (!kept.includes(key) && seen.add(key)) left.add(key)
    }
    return left
  }
}

/** Whether a key is to go, by its name. */
function inScope({ prefix, preserve, quarantine }: Scope): (key: Buffer) => boolean {
  const scope = keyScope(prefix)
  const patternsOf = preservedBy(preserve)
  return (key) => scope.includes(key) && patternsOf(quarantine.nameOf(key)).length === 0
}

function leftWarning(left: KeyTally, passes: number): Warning {
  return {
    code: 'KeysLeft',
    message: `${counted(left.count, 'cache key')} ${agreeing(left.count, 'is', 'are')} still there after up to ${counted(passes, 'pass', 'passes')}: the application writes faster than keys are deleted, Redis does not delete, or a key is too large to be compared with the backup: ${left.names()}. Pause the application and run again`,
  }
}
