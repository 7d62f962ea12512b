import type { Clients } from '../../clients.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { KeyDigests } from '../key-digests.ts'
import { ValueDigest } from '../value/digest.ts'
import { knowsExpiryTime } from '../value/expiry.ts'
import { type DecodedLine, type Part, readLinesTogether } from '../value/part-lines.ts'

/**
 * The digest of every key that parts of a backup hold, made of what lies in the backup itself; of a key that is there
 * twice, the later one counts. Memory: about 40 bytes per key.
 * @throws BackupDamaged, StoreUnavailable
 */
export async function digestsOf(
  { backups, cache }: Pick<Clients, 'backups' | 'cache'>,
  parts: readonly Part[],
): Promise<KeyDigests> {
  const digests = new KeyDigests(parts.reduce((sum, { keys }) => sum + keys, 0))
  await addDigests(backups, { parts, digests, exact: await knowsExpiryTime(cache) })
  return digests
}

/** Adds the digests of parts. @returns how many of their keys had none before */
export async function addDigests(
  bucket: Bucket,
  {
    parts,
    digests,
    exact,
    keyOf = (name) => name,
    leavesOut = () => false,
    counters = false,
    asRestored = (line) => line,
  }: {
    parts: readonly Part[]
    digests: KeyDigests
    exact: boolean
    /** The key in the cache whose value a line holds. */
    keyOf?: (name: Buffer) => Buffer
    /** Asked of the first line of each key. */
    leavesOut?: (head: DecodedLine) => boolean
    /** As ValueDigest has it. */
    counters?: boolean
    /** What a restore makes of a line, when the digest is to be that of what it writes. */
    asRestored?: (line: DecodedLine) => DecodedLine
  },
): Promise<number> {
  let added = 0
  let head: DecodedLine | undefined
  let digest: ValueDigest | undefined
  function end(): void {
    if (head === undefined || digest === undefined) return
    if (digests.set(keyOf(head.key), digest.end(exact ? head.expiresAt : null))) added++
  }
  for await (const lines of readLinesTogether(bucket, parts)) {
    for (const line of lines) {
      if (line.part === 1) {
        end()
        head = leavesOut(line) ? undefined : asRestored(line)
        digest = head && new ValueDigest(line.type, counters)
        if (head !== undefined) digest?.add(head.items, line.stream)
      } else if (digest !== undefined) digest.add(asRestored(line).items, line.stream)
    }
  }
  end()
  return added
}
