import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { askFenced } from '../fence.ts'
import { ValueDigest } from '../value/digest.ts'
import type { ExpiryKnown } from '../value/expiry.ts'
import type { KeyHead } from '../value/lines.ts'
import type { DecodedLine } from '../value/part-lines.ts'
import { type CommandLimits, commandsOf, expiringCommands, piecesOf } from './commands.ts'
import { type ReplacedKeys, replaceTries } from './replaced-keys.ts'
import {
  argumentOf,
  bytesOf,
  type Check,
  failedChecks,
  type ScriptCommand,
  type Step,
  scriptCommand,
  stagedIn,
  stepCommand,
  unfinishedMs,
} from './script.ts'

export type WriteLimits = CommandLimits & { pageKeys: number }

/** A value that is being put together under a temporary key. */
type Unfinished = {
  head: KeyHead
  temporary: string
  steps: number
  exists: boolean
  staged: number
  digest: ValueDigest
}

/** The commands that write one key, and the digest of what they write. */
type Entry = { key: Buffer; commands: ScriptCommand[]; bytes: number; digest: string }

export type WriteTo = {
  fence: Fence
  /** What the names of temporary keys begin with, and no other key's. */
  temporary: string
  expiry: ExpiryKnown
  /** What looks after the values that are replaced; null: they need not be in a backup. */
  replaced: ReplacedKeys | null
  limits: WriteLimits
}

/**
 * Puts keys into the cache, each in one piece: a live key of the same name is there with its old value until it is there
 * with the new one. Small ones go many to a script, large ones are put together under a temporary key in steps and
 * renamed. Every script checks the fence first, and that the values it replaces are in the safety backup. Any request may be
 * sent twice. Memory: about two requests.
 */
export class CacheWriter {
  readonly #cache: BinaryRedis
  readonly #to: WriteTo
  #page: Entry[] = []
  #pageBytes = 0
  #unfinished: Unfinished | undefined
  #built = 0

  constructor(cache: BinaryRedis, to: WriteTo) {
    this.#cache = cache
    this.#to = to
  }

  /** @throws RunLost; StoreUnavailable when the cache refuses a command, NotPermitted */
  async write(line: DecodedLine): Promise<void> {
    if (line.part > 1) return await this.#build(line)
    await this.#finish()
    if (line.whole && (await this.#addToPage(line))) return
    this.#unfinished = {
      head: line,
      temporary: `${this.#to.temporary}:${this.#built++}`,
      steps: 0,
      exists: false,
      staged: 0,
      digest: new ValueDigest(line.type),
    }
    if (line.type === 'hash') await this.#step(this.#unfinished, [holding(this.#unfinished.temporary)])
    await this.#build(line)
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    await this.#finish()
    await this.#flush()
  }

  /** False when the key is too large for a page. */
  async #addToPage(line: DecodedLine): Promise<boolean> {
    const { limits } = this.#to
    const { key } = line
    const commands = this.#commandsOf(line)
    const bytes = commands.reduce((sum, command) => sum + command.bytes, argumentOf(key).bytes)
    if (bytes > limits.requestBytes) return false
    if (this.#page.length >= limits.pageKeys || this.#pageBytes + bytes > limits.requestBytes) {
      await this.#flush()
    }
    const digest = new ValueDigest(line.type)
    digest.add(line.items, line.stream)
    this.#page.push({ key, commands, bytes, digest: this.#endOf(digest, line) })
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
      const left = await this.#replace(entries, attempt, {
        temporary,
        number: 0,
        needs: null,
        commands: entries.flatMap(({ commands }) => commands),
      })
      if (left === 'done') return
      entries = entries.filter((entry) => !left.includes(entry.key))
    }
  }

  /** Runs a step that puts values in the place of others. Gives the keys that are to be left out, if it was not done. */
  async #replace(
    entries: readonly { key: Buffer; digest: string }[],
    attempt: number,
    step: Omit<Step, 'checks' | 'targets'>,
  ): Promise<'done' | Buffer[]> {
    const { replaced } = this.#to
    const checks = replaced === null ? [] : entries.map(({ key, digest }) => checkOf(replaced, key, digest))
    const targets = entries.map(({ key }) => key)
    const reply = await this.#ask({ ...step, checks, targets })
    const changed = failedChecks(reply).flatMap((position) => checks[position]?.key ?? [])
    if (changed.length === 0 || replaced === null) {
      for (const key of targets) replaced?.dealtWith(key)
      return 'done'
    }
    const left = changed.filter((key) => attempt > replaceTries || !replaced.mayBackUp(key))
    for (const key of left) replaced.left.add(key)
    await replaced.backUp(changed.filter((key) => !left.includes(key)))
    return left
  }

  async #build({ items, stream }: Pick<DecodedLine, 'items' | 'stream'>): Promise<void> {
    const unfinished = this.#unfinished
    if (unfinished === undefined) return
    const { limits } = this.#to
    unfinished.digest.add(items, stream)
    let step: ScriptCommand[] = []
    let bytes = 0
    const value = { key: unfinished.temporary, items, stream }
    for (const command of buildingCommands(unfinished.head, value, limits)) {
      if (step.length > 0 && bytes + command.bytes > limits.requestBytes) {
        await this.#step(unfinished, step)
        step = []
        bytes = 0
      }
      if (command.bytes > limits.requestBytes) await this.#stage(unfinished, command)
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
    const { limits } = this.#to
    const names: string[] = []
    const arranged = []
    let bytes = 0
    for (const part of parts) {
      if (bytes + part.bytes <= limits.requestBytes / 2) {
        arranged.push(part)
        bytes += part.bytes
        continue
      }
      const name = `${unfinished.temporary}:${unfinished.staged++}`
      let needs: string | null = null
      for (const piece of piecesOf(bytesOf(part), limits)) {
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
    const { head, temporary } = unfinished
    const { key, expiresAt } = head
    const taking = [scriptCommand('RENAME', temporary, key)]
    if (head.type === 'hash') taking.push(scriptCommand('HDEL', key, temporary))
    const expiry =
      expiresAt === null ? scriptCommand('PERSIST', key) : scriptCommand('PEXPIREAT', key, String(expiresAt))
    const entry = { key, digest: this.#endOf(unfinished.digest, head) }
    const step = { temporary, number: ++unfinished.steps, needs: temporary, commands: [...taking, expiry] }
    for (let attempt = 1; ; attempt++) {
      const left = await this.#replace([entry], attempt, step)
      if (left === 'done') return
      if (left.length > 0) return void (await this.#ask(discarding(temporary)))
    }
  }

  async #send(
    unfinished: Unfinished,
    commands: readonly ScriptCommand[],
    needs: string | null,
  ): Promise<void> {
    const number = ++unfinished.steps
    await this.#ask({ temporary: unfinished.temporary, number, needs, commands, targets: [], checks: [] })
  }

  async #ask(step: Step) {
    const [reply] = await askFenced(this.#cache, this.#to.fence, [stepCommand(this.#to.fence, step)])
    return reply
  }

  #endOf(digest: ValueDigest, { expiresAt }: KeyHead): string {
    return digest.end(this.#to.expiry.exact ? expiresAt : null)
  }
}

/** What may be replaced by a value: what the safety backup holds, and that value itself, which an earlier try has written. */
function checkOf(replaced: ReplacedKeys, key: Buffer, digest: string): Check {
  const held = replaced.digestOf(key)
  return { key, digests: held === undefined ? [digest] : [held, digest] }
}

function* buildingCommands(
  ...[head, value, limits]: Parameters<typeof commandsOf>
): Generator<ScriptCommand> {
  yield* commandsOf(head, value, limits)
  yield* expiringCommands(head, value)
}

/**
 * Puts a field into an unfinished hash that keeps it there, although all others may expire until it is finished; by the
 * temporary key's own name, which no other field has.
 */
function holding(temporary: string): ScriptCommand {
  return scriptCommand('HSET', temporary, temporary, '')
}

/** Deletes an unfinished value that is not going to take its place. */
function discarding(temporary: string): Step {
  const commands = [scriptCommand('UNLINK', temporary)]
  return { temporary, number: 0, needs: null, commands, targets: [], checks: [] }
}
