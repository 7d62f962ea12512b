import * as z from 'zod'
import { findJson } from '../../backup/documents/read.ts'
import { putJson } from '../../backup/documents/write.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Clients } from '../../clients.ts'
import type { Fence } from '../../ledger/fence.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { LateKeys } from '../export/late-keys.ts'
import { openOwnBackup } from '../export/own-backup.ts'
import { KeyTally } from '../findings.ts'
import { dealtWith, type KeyDigests } from '../key-digests.ts'

/** How often a key is added to the backup anew before it is left as it is. */
export const replaceTries = 3

/**
 * What a restore replaces or deletes: each value must be in the safety backup when it goes. One that changed since is
 * added to it first; one that changes all the time is left as it is.
 */
export class SafetyBackup {
  /** Keys that were left, because they changed again and again, or may have been dealt with before. */
  readonly left = new KeyTally()
  readonly #held: { digests: KeyDigests; late: LateKeys }
  readonly #isRepeat: boolean

  /** @param isRepeat an earlier try of the step may have replaced keys already */
  private constructor(held: { digests: KeyDigests; late: LateKeys }, isRepeat: boolean) {
    this.#held = held
    this.#isRepeat = isRepeat
  }

  /**
   * That of a run, which writes from here on; null: it was told to take none.
   * @throws as openOwnBackup
   */
  static async open(
    tools: Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>,
    { run, fence, backupId }: { run: RunRef; fence: Fence; backupId: string | null },
  ): Promise<SafetyBackup | null> {
    const { backups } = tools
    const held = backupId === null ? null : await openOwnBackup(tools, { run, fence, backupId })
    const begunKey = workKeys(run).cacheRestoring
    const isRepeat = (await findJson(backups, begunKey, z.unknown())) !== undefined
    await putJson(backups, begunKey, {})
    return held && new SafetyBackup(held, isRepeat)
  }

  /** The digest of the value that the safety backup holds; undefined: none. */
  digestOf(key: Buffer): string | undefined {
    return this.#held.digests.get(key)
  }

  /**
   * Whether a key that changed may be added to the safety backup. Not when this run may have replaced it before: what it
   * holds now came later, and would take the place of what is to be kept safe.
   * @param isUnclear an answer was lost that may have said that it was replaced
   */
  mayBackUp(key: Buffer, isUnclear = false): boolean {
    const digest = this.digestOf(key)
    return digest === undefined || (digest !== dealtWith && !this.#isRepeat && !isUnclear)
  }

  /** The key has been replaced or deleted. */
  dealtWith(key: Buffer): void {
    this.#held.digests.set(key, dealtWith)
  }

  /** Adds what the keys hold now to the safety backup. @throws StoreUnavailable, NotPermitted, ReadBackMismatch */
  async backUp(keys: readonly Buffer[]): Promise<void> {
    await this.#held.late.add(keys)
    await this.#held.late.commit()
  }
}
