import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { ValueDigest } from '../value/digest.ts'
import type { ExpiryKnown } from '../value/expiry.ts'
import type { DecodedLine } from '../value/part-lines.ts'
import { type CommandLimits, commandsOf, expiringCommands } from './commands.ts'
import { LargeValue } from './large-value.ts'
import { Replacer } from './replacer.ts'
import type { SafetyBackup } from './safety-backup.ts'
import { argumentOf, type ScriptCommand, scriptCommand } from './script.ts'

export type WriteLimits = CommandLimits & { pageKeys: number }

/** The commands that write one key, and the digest of what they write. */
type PageEntry = { key: Buffer; commands: ScriptCommand[]; bytes: number; digest: string }

type WriteTo = {
  fence: Fence
  /** What the names of temporary keys begin with, and no other key's. */
  temporary: string
  expiry: ExpiryKnown
  /** What looks after the values that are replaced; null: they need not be in a backup. */
  safety: SafetyBackup | null
  limits: WriteLimits
}

/**
 * Puts keys into the cache, each in one piece: a live key of the same name is there with its old value until it is there
 * with the new one. Small ones go many to a script, large ones are put together under a temporary key in steps and
 * renamed. Any request may be sent twice. Memory: about two requests.
 */
export class CacheWriter {
  readonly #to: WriteTo
  readonly #replacer: Replacer
  #page: PageEntry[] = []
  #pageBytes = 0
  #large: LargeValue | undefined
  #built = 0

  constructor(cache: BinaryRedis, to: WriteTo) {
    this.#to = to
    this.#replacer = new Replacer(cache, to.fence, to.safety)
  }

  /** @throws RunLost; StoreUnavailable when the cache refuses a command, NotPermitted */
  async write(line: DecodedLine): Promise<void> {
    if (line.part > 1) return await this.#large?.add(line)
    await this.#endLarge()
    if (line.whole && (await this.#addToPage(line))) return
    const temporary = `${this.#to.temporary}:${this.#built++}`
    this.#large = new LargeValue(this.#replacer, line, { temporary, limits: this.#to.limits })
    await this.#large.add(line)
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    await this.#endLarge()
    await this.#flush()
  }

  async #endLarge(): Promise<void> {
    const large = this.#large
    this.#large = undefined
    await large?.end({ exactExpiry: this.#to.expiry.exact })
  }

  /** False when the key is too large for a page. */
  async #addToPage(line: DecodedLine): Promise<boolean> {
    const { limits, expiry } = this.#to
    const { key, expiresAt } = line
    const commands = this.#commandsOf(line)
    const bytes = commands.reduce((sum, command) => sum + command.bytes, argumentOf(key).bytes)
    if (bytes > limits.requestBytes) return false
    if (this.#page.length >= limits.pageKeys || this.#pageBytes + bytes > limits.requestBytes) {
      await this.#flush()
    }
    const digest = new ValueDigest(line.type)
    digest.add(line.items, line.stream)
    this.#page.push({ key, commands, bytes, digest: digest.end(expiry.exact ? expiresAt : null) })
    this.#pageBytes += bytes
    return true
  }

  #commandsOf(line: DecodedLine): ScriptCommand[] {
    const { key, expiresAt, items, stream } = line
    if (line.type === 'string') {
      const expiry = expiresAt === null ? [] : ['PXAT', String(expiresAt)]
      return [scriptCommand('SET', key, items[0] as Buffer, ...expiry)]
    }
    const temporary = `${this.#to.temporary}:page`
    return [
      ...commandsOf(line, { key: temporary, items, stream }, this.#to.limits),
      scriptCommand('RENAME', temporary, key),
      ...expiringCommands(line, { key, items }),
      ...(expiresAt === null ? [] : [scriptCommand('PEXPIREAT', key, String(expiresAt))]),
    ]
  }

  async #flush(): Promise<void> {
    let entries = this.#page
    this.#page = []
    this.#pageBytes = 0
    const temporary = `${this.#to.temporary}:page`
    for (let attempt = 1; entries.length > 0; attempt++) {
      const left = await this.#replacer.replace(entries, attempt, {
        temporary,
        number: 0,
        needs: null,
        commands: entries.flatMap(({ commands }) => commands),
      })
      if (left === 'done') return
      entries = entries.filter((entry) => !left.includes(entry.key))
    }
  }
}
