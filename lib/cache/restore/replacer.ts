import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { Reply } from '../../redis/reply.ts'
import { askFenced } from '../fence.ts'
import { replaceTries, type SafetyBackup } from './safety-backup.ts'
import { failedChecks, type ScriptStep, stepAgain, stepCommand, type ValueCheck } from './script.ts'

/** A key, and the digest of the value that it is given. */
type NewValue = { key: Buffer; digest: string }

/** Runs the steps of a restore. Each checks the fence first, and that the values it replaces are in the safety backup. */
export class Replacer {
  readonly #cache: BinaryRedis
  readonly #fence: Fence
  readonly #safety: SafetyBackup | null

  /** @param safety null: what is replaced need not be in a backup */
  constructor(cache: BinaryRedis, fence: Fence, safety: SafetyBackup | null) {
    this.#cache = cache
    this.#fence = fence
    this.#safety = safety
  }

  /** @throws RunLost; StoreUnavailable when the cache refuses a command, NotPermitted */
  async run(step: ScriptStep): Promise<Reply | undefined> {
    const [reply] = await askFenced(this.#cache, this.#fence, [stepCommand(this.#fence, step)], stepAgain)
    return reply
  }

  /**
   * Runs a step that puts values in the place of others, unless one of these is not in the safety backup: then it is added
   * to that, and the caller tries again.
   * @param attempt from 1; after the last one, what changed again is left as it is
   * @returns the keys that are to be left out, if the step was not done
   */
  async replace(
    values: readonly NewValue[],
    attempt: number,
    step: Omit<ScriptStep, 'checks' | 'targets'>,
  ): Promise<'done' | Buffer[]> {
    const safety = this.#safety
    const checks = safety === null ? [] : values.map((value) => checkOf(safety, value))
    const targets = values.map(({ key }) => key)
    const reply = await this.run({ ...step, checks, targets })
    const { positions, isUnclear } = failedChecks(reply)
    const changed = positions.flatMap((position) => checks[position]?.key ?? [])
    if (changed.length === 0 || safety === null) {
      for (const key of targets) safety?.dealtWith(key)
      return 'done'
    }
    const left = changed.filter((key) => attempt > replaceTries || !safety.mayBackUp(key, isUnclear))
    for (const key of left) safety.left.add(key)
    await safety.backUp(changed.filter((key) => !left.includes(key)))
    return left
  }
}

/** What may be replaced by a value: what the safety backup holds, and that value itself, which an earlier try has written. */
function checkOf(safety: SafetyBackup, { key, digest }: NewValue): ValueCheck {
  const held = safety.digestOf(key)
  return { key, digests: held === undefined ? [digest] : [held, digest] }
}
