import { lastAttempt, writeLate } from '../../backup/late.ts'
import { backupKeys } from '../../backup/layout.ts'
import type { Late, Manifest, Seen } from '../../backup/manifest.ts'
import { findLate } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import { KeyFindings } from '../findings.ts'
import type { KeyDigests } from '../key-digests.ts'
import { KeySet } from '../key-set.ts'
import { type ExpiryKnown, readExpiryKnown } from '../value/expiry.ts'
import { addDigests } from './backup-digests.ts'
import { exportLimits } from './export.ts'
import { PartWriter } from './part-writer.ts'
import { readKeys } from './read-keys.ts'

type Tools = Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>

/**
 * Adds keys to a sealed backup that changed or came since their export. They are in it, and `digests` knows them, only
 * after `commit`. Memory: one part, one answer.
 */
export class LateKeys {
  /** Keys that were found on the way but cannot be backed up. */
  readonly findings = new KeyFindings()
  readonly #tools: Tools
  readonly #manifest: Manifest
  readonly #fence: Fence
  readonly #digests: KeyDigests
  readonly #expiry: ExpiryKnown
  readonly #nameOf: (key: Buffer) => Buffer
  #writer: PartWriter | undefined
  #seen = new KeySet()
  /** Keys that are quarantined, by their names in hex, and whether those are new to the backup. */
  #quarantine = new Map<string, { key: Buffer; isNew: boolean }>()

  private constructor(tools: Tools, { manifest, fence, digests, nameOf }: Into, expiry: ExpiryKnown) {
    this.#tools = tools
    this.#manifest = manifest
    this.#fence = fence
    this.#digests = digests
    this.#nameOf = nameOf
    this.#expiry = expiry
  }

  static async of(tools: Tools, into: Into): Promise<LateKeys> {
    return new LateKeys(tools, into, await readExpiryKnown(tools.cache))
  }

  /**
   * Exports keys. One that is given again before `commit` is passed over.
   * @throws StoreUnavailable, NotPermitted, ReadBackMismatch
   */
  async add(keys: readonly Buffer[]): Promise<void> {
    const wanted = keys.filter((key) => this.#seen.add(key))
    for (const key of wanted) {
      const name = this.#nameOf(key)
      if (name === key) continue
      this.#quarantine.set(name.toString('hex'), { key, isNew: this.#digests.get(name) === undefined })
    }
    const read = {
      keys: wanted,
      findings: this.findings,
      limits: exportLimits,
      expiry: this.#expiry,
      nameOf: this.#nameOf,
    }
    for await (const lines of readKeys(this.#tools.cache, read)) {
      this.#writer ??= await this.#open()
      await this.#writer.add(lines)
    }
  }

  /**
   * Makes what was added part of the backup, by the next late file.
   * @returns the number of keys
   * @throws StoreUnavailable, NotPermitted, ReadBackMismatch
   */
  async commit(): Promise<number> {
    const writer = this.#writer
    this.#writer = undefined
    this.#seen = new KeySet()
    if (writer === undefined) return 0
    await writer.end()
    const { backups, config, now } = this.#tools
    const { backupId, environment, version } = this.#manifest
    const { parts } = writer
    const keys = backupKeys(config.BACKUP_PREFIX, backupId)
    let known: Seen['late'] | undefined
    const note = (late: Seen['late']) => this.#fence.replaceLate(late, known)
    await writeLate(backups, { keys, backupId, environment, version, now, note }, async () => {
      // Asked when the file has its number: when another invocation adds to the backup after that, the number is taken.
      known = await this.#fence.lateOf(backupId)
      // What the late files before this one say is repeated: only the last one counts.
      const before = await findLate(backups, config.BACKUP_PREFIX, this.#manifest, known)
      const cache: Late['cache'] = {
        added: (before?.cache?.added ?? 0) + (await this.#noteDigests(parts)),
        parts: [...(before?.cache?.parts ?? []), ...parts],
      }
      await this.#fence.check() // of an invocation that was repeated nothing is to be in the backup
      return {
        tables: before?.tables ?? [],
        sequences: before?.sequences ?? this.#manifest.database?.sequences ?? [],
        cache,
      }
    })
    return parts.reduce((sum, part) => sum + part.keys, 0)
  }

  /** @returns how many of the keys are new to the backup */
  async #noteDigests(parts: PartWriter['parts']): Promise<number> {
    const quarantine = this.#quarantine
    this.#quarantine = new Map()
    let renamed = 0 // keys that the backup held already, under the name that they had
    const keyOf = (name: Buffer) => {
      const found = quarantine.get(name.toString('hex'))
      if (found === undefined) return name
      if (!found.isNew && this.#digests.get(found.key) === undefined) renamed++
      return found.key
    }
    const noted = { parts, digests: this.#digests, exact: this.#expiry.exact, keyOf }
    return (await addDigests(this.#tools.backups, noted)) - renamed
  }

  async #open(): Promise<PartWriter> {
    const { backups, config } = this.#tools
    const keys = backupKeys(config.BACKUP_PREFIX, this.#manifest.backupId)
    const attempt = 1 + (await lastAttempt(backups, keys))
    return new PartWriter(backups, {
      keyOf: (part, copy) => keys.lateCachePart(part, attempt, copy),
      partBytes: exportLimits.partBytes,
    })
  }
}

type Into = {
  /** Of the backup that the keys are added to, without its late files. */
  manifest: Manifest
  fence: Fence
  /** The digests of what the backup holds; what is committed is added. */
  digests: KeyDigests
  /** The name under which a key stands in the backup. */
  nameOf: (key: Buffer) => Buffer
}
