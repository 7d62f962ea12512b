import { ValueDigest } from '../value/digest.ts'
import type { KeyHead } from '../value/lines.ts'
import type { DecodedLine } from '../value/part-lines.ts'
import { type CommandLimits, commandsOf, expiringCommands, piecesOf } from './commands.ts'
import type { Replacer } from './replacer.ts'
import { bytesOf, type ScriptCommand, scriptCommand, stagedIn, unfinishedMs } from './script.ts'

/** A value that is put together under a temporary key, in as many requests as it takes, and then renamed. */
export class LargeValue {
  readonly #replacer: Replacer
  readonly #head: KeyHead
  readonly #temporary: string
  readonly #limits: CommandLimits
  readonly #digest: ValueDigest
  #steps = 0
  #exists = false
  #staged = 0

  constructor(
    replacer: Replacer,
    head: KeyHead,
    { temporary, limits }: { temporary: string; limits: CommandLimits },
  ) {
    this.#replacer = replacer
    this.#head = head
    this.#temporary = temporary
    this.#limits = limits
    this.#digest = new ValueDigest(head.type)
  }

  /** Adds what a line holds of the value. */
  async add({ items, stream }: Pick<DecodedLine, 'items' | 'stream'>): Promise<void> {
    if (this.#head.type === 'hash' && this.#steps === 0) await this.#step([this.#holding()])
    this.#digest.add(items, stream)
    let step: ScriptCommand[] = []
    let bytes = 0
    const value = { key: this.#temporary, items, stream }
    for (const command of buildingCommands(this.#head, value, this.#limits)) {
      if (step.length > 0 && bytes + command.bytes > this.#limits.requestBytes) {
        await this.#step(step)
        step = []
        bytes = 0
      }
      if (command.bytes > this.#limits.requestBytes) await this.#stage(command)
      else {
        step.push(command)
        bytes += command.bytes
      }
    }
    if (step.length > 0) await this.#step(step)
  }

  /** The value takes its place, with the key's own expiry, or is given up when what is there must not go. */
  async end({ exactExpiry }: { exactExpiry: boolean }): Promise<void> {
    const { key, type, expiresAt } = this.#head
    const taking = [scriptCommand('RENAME', this.#temporary, key)]
    if (type === 'hash') taking.push(scriptCommand('HDEL', key, this.#temporary))
    const expiry =
      expiresAt === null ? scriptCommand('PERSIST', key) : scriptCommand('PEXPIREAT', key, String(expiresAt))
    const value = { key, digest: this.#digest.end(exactExpiry ? expiresAt : null) }
    const step = {
      temporary: this.#temporary,
      number: ++this.#steps,
      needs: this.#temporary,
      commands: [...taking, expiry],
    }
    for (let attempt = 1; ; attempt++) {
      const left = await this.#replacer.replace([value], attempt, step)
      if (left === 'done') return
      if (left.length > 0) return await this.#discard()
    }
  }

  /**
   * Puts a field into the unfinished hash that keeps it there, although all others may expire until it is finished; by the
   * temporary key's own name, which no other field has.
   */
  #holding(): ScriptCommand {
    return scriptCommand('HSET', this.#temporary, this.#temporary, '')
  }

  async #discard(): Promise<void> {
    const commands = [scriptCommand('UNLINK', this.#temporary)]
    const nothing = { needs: null, targets: [], checks: [] }
    await this.#replacer.run({ temporary: this.#temporary, number: 0, commands, ...nothing })
  }

  async #step(commands: readonly ScriptCommand[]): Promise<void> {
    const lasting = scriptCommand('PEXPIRE', this.#temporary, String(unfinishedMs))
    await this.#send([...commands, lasting], this.#exists ? this.#temporary : null)
    this.#exists = true
  }

  /** A command that is larger than a request: the arguments that do not fit go ahead, piece by piece, as keys. */
  async #stage({ parts }: ScriptCommand): Promise<void> {
    const names: string[] = []
    const arranged = []
    let bytes = 0
    for (const part of parts) {
      if (bytes + part.bytes <= this.#limits.requestBytes / 2) {
        arranged.push(part)
        bytes += part.bytes
        continue
      }
      const name = `${this.#temporary}:${this.#staged++}`
      let needs: string | null = null
      for (const piece of piecesOf(bytesOf(part), this.#limits)) {
        const written = scriptCommand(needs === null ? 'SET' : 'APPEND', name, piece)
        await this.#send([written, scriptCommand('PEXPIRE', name, String(unfinishedMs))], needs)
        needs = name
      }
      names.push(name)
      arranged.push(stagedIn(name))
    }
    await this.#step([scriptCommand(...arranged), scriptCommand('UNLINK', ...names)])
  }

  async #send(commands: readonly ScriptCommand[], needs: string | null): Promise<void> {
    const number = ++this.#steps
    await this.#replacer.run({
      ...{ temporary: this.#temporary, number, needs, commands, targets: [], checks: [] },
    })
  }
}

function* buildingCommands(
  ...[head, value, limits]: Parameters<typeof commandsOf>
): Generator<ScriptCommand> {
  yield* commandsOf(head, value, limits)
  yield* expiringCommands(head, value)
}
