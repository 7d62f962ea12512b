import type { BinaryRedis } from './binary-redis.ts'
import { command } from './command.ts'
import type { KeyHead } from './lines.ts'
import type { Command } from './reply.ts'
import { type CommandLimits, commandsOf, piecesOf } from './restore-commands.ts'
import type { DecodedLine } from './restore-lines.ts'
import {
  argumentOf,
  bytesOf,
  type ScriptCommand,
  scriptCommand,
  stagedIn,
  stepCommand,
  unfinishedMs,
} from './restore-script.ts'
import type { Item } from './value-pages.ts'

export type WriteLimits = CommandLimits & { pageKeys: number }

/** A value that is being put together under a temporary key. */
type Unfinished = { head: KeyHead; temporary: string; steps: number; exists: boolean; staged: number }

/**
 * Puts keys into the cache, each in one piece: a live key of the same name is there with its old value until it is there
 * with the new one. Strings are one SET. Other values are put together under a temporary key and renamed: small ones many
 * to a script, large ones in steps. Any request may be sent twice. Memory: about two requests.
 */
export class CacheWriter {
  readonly #cache: BinaryRedis
  readonly #temporary: string
  readonly #limits: WriteLimits
  #page: { sets: Command[]; commands: ScriptCommand[]; targets: Buffer[]; keys: number; bytes: number }
  #unfinished: Unfinished | undefined
  #built = 0

  /** @param temporary is what the names of temporary keys begin with, and no other key's */
  constructor(cache: BinaryRedis, { temporary, limits }: { temporary: string; limits: WriteLimits }) {
    this.#cache = cache
    this.#temporary = temporary
    this.#limits = limits
    this.#page = emptyPage()
  }

  /** @throws StoreUnavailable when the cache refuses a command, NotPermitted */
  async write(line: DecodedLine): Promise<void> {
    if (line.part > 1) return await this.#build(line.items)
    await this.#finish()
    if (line.whole && (await this.#addToPage(line))) return
    this.#unfinished = {
      head: line,
      temporary: `${this.#temporary}:${this.#built++}`,
      steps: 0,
      exists: false,
      staged: 0,
    }
    await this.#build(line.items)
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    await this.#finish()
    await this.#flush()
  }

  /** False when the key is too large for a page. */
  async #addToPage(line: DecodedLine): Promise<boolean> {
    const { key, expiresAt, items } = line
    const temporary = `${this.#temporary}:page`
    const commands = [...commandsOf(line, { key: temporary, items }, this.#limits)]
    if (line.type !== 'string') {
      commands.push(scriptCommand('RENAME', temporary, key))
      if (expiresAt !== null) commands.push(scriptCommand('PEXPIREAT', key, String(expiresAt)))
    }
    const bytes = commands.reduce((sum, command) => sum + command.bytes, argumentOf(key).bytes)
    if (bytes > this.#limits.requestBytes) return false
    if (this.#page.keys >= this.#limits.pageKeys || this.#page.bytes + bytes > this.#limits.requestBytes) {
      await this.#flush()
    }
    this.#page.keys++
    this.#page.bytes += bytes
    if (line.type === 'string') {
      const expiry = expiresAt === null ? [] : ['PXAT', String(expiresAt)]
      this.#page.sets.push(command('SET', key, items[0] as Buffer, ...expiry))
    } else {
      this.#page.commands.push(...commands)
      this.#page.targets.push(key)
    }
    return true
  }

  async #flush(): Promise<void> {
    const { sets, commands, targets } = this.#page
    this.#page = emptyPage()
    const temporary = `${this.#temporary}:page`
    const step = { temporary, number: 0, needs: null, commands, targets }
    await this.#cache.ask([...sets, ...(commands.length === 0 ? [] : [stepCommand(step)])])
  }

  async #build(items: readonly Item[]): Promise<void> {
    const unfinished = this.#unfinished
    if (unfinished === undefined) return
    let step: ScriptCommand[] = []
    let bytes = 0
    for (const command of commandsOf(unfinished.head, { key: unfinished.temporary, items }, this.#limits)) {
      if (step.length > 0 && bytes + command.bytes > this.#limits.requestBytes) {
        await this.#step(unfinished, step)
        step = []
        bytes = 0
      }
      if (command.bytes > this.#limits.requestBytes) await this.#stage(unfinished, command)
      else {
        step.push(command)
        bytes += command.bytes
      }
    }
    if (step.length > 0) await this.#step(unfinished, step)
  }

  async #step(unfinished: Unfinished, commands: readonly ScriptCommand[]): Promise<void> {
    const { temporary, exists } = unfinished
    const lasting = scriptCommand('PEXPIRE', temporary, String(unfinishedMs))
    await this.#send(unfinished, [...commands, lasting], exists ? temporary : null)
    unfinished.exists = true
  }

  /** A command that is larger than a request: the arguments that do not fit go ahead, piece by piece, as keys. */
  async #stage(unfinished: Unfinished, { parts }: ScriptCommand): Promise<void> {
    const names: string[] = []
    const arranged = []
    let bytes = 0
    for (const part of parts) {
      if (bytes + part.bytes <= this.#limits.requestBytes / 2) {
        arranged.push(part)
        bytes += part.bytes
        continue
      }
      const name = `${unfinished.temporary}:${unfinished.staged++}`
      let needs: string | null = null
      for (const piece of piecesOf(bytesOf(part), this.#limits)) {
        const written = scriptCommand(needs === null ? 'SET' : 'APPEND', name, piece)
        await this.#send(unfinished, [written, scriptCommand('PEXPIRE', name, String(unfinishedMs))], needs)
        needs = name
      }
      names.push(name)
      arranged.push(stagedIn(name))
    }
    await this.#step(unfinished, [scriptCommand(...arranged), scriptCommand('UNLINK', ...names)])
  }

  /** What a large value was built under takes its place, with the key's own expiry. */
  async #finish(): Promise<void> {
    const unfinished = this.#unfinished
    this.#unfinished = undefined
    if (unfinished === undefined) return
    const { key, expiresAt } = unfinished.head
    const { temporary } = unfinished
    const renamed = scriptCommand('RENAME', temporary, key)
    const expiry =
      expiresAt === null ? scriptCommand('PERSIST', key) : scriptCommand('PEXPIREAT', key, String(expiresAt))
    await this.#send(unfinished, [renamed, expiry], temporary, [key])
  }

  async #send(
    unfinished: Unfinished,
    commands: readonly ScriptCommand[],
    needs: string | null,
    targets: readonly Buffer[] = [],
  ): Promise<void> {
    const number = ++unfinished.steps
    await this.#cache.ask([
      stepCommand({ temporary: unfinished.temporary, number, needs, commands, targets }),
    ])
  }
}

function emptyPage() {
  return { sets: [], commands: [], targets: [], keys: 0, bytes: 0 }
}
