import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'

const dayMs = 24 * 60 * 60 * 1000

/**
 * What of a part is loaded that an export took over: nothing when it was copied with a proof, and of a composed one the
 * ranges that are new to it.
 */
export function loadOf(
  kind: 'exported' | 'copied' | 'composed',
  provedAt: string | null | undefined,
): 'all' | 'fresh' | 'nothing' {
  if (kind === 'exported' || provedAt === null || provedAt === undefined) return 'all'
  return kind === 'copied' ? 'nothing' : 'fresh'
}

/** When the run and its base began, and within how many days every part is loaded again. ISO 8601. */
export type ShareAt = { startedAt: string; baseAt: string; withinDays: number }

/** A part of the base that holds rows, and its proof. */
type Proved = { table: string; part: TablePart; provedAt: number }

/**
 * The parts of a base that have to be loaded again, though they are taken over as they are, by their keys: those that were never
 * proved, and so many of the others that proofs get old evenly. The next backup is taken to come as long after this one as this
 * one after its base, and the days that are left until then are the most that any proof may be old; of half of the bytes
 * half of them, and so on. So each night loads about as much, and a backup of minutes later loads nothing. No clock is
 * asked: who asks again gets the same.
 * @see docs/decisions.md#every-part-is-loaded-within-some-days
 */
export function dueParts(tables: readonly BackedUpTable[], at: ShareAt): Set<string> {
  const due = new Set<string>()
  const proved: Proved[] = []
  for (const { name, parts } of tables) {
    for (const part of parts) {
      if (part.key === null) continue
      const provedAt = Date.parse(part.provedAt ?? '')
      if (Number.isNaN(provedAt)) due.add(part.key)
      else proved.push({ table: name, part, provedAt })
    }
  }
  const now = Date.parse(at.startedAt)
  const untilNext = Math.max(0, now - Date.parse(at.baseAt))
  const most = Math.max(0, at.withinDays * dayMs - untilNext)
  const bytes = storedBytes(proved.map(({ part }) => part))
  let left = 0
  for (const { part, provedAt } of proved.toSorted(byAge)) {
    const age = now - provedAt
    if (age < 0 || age > most * (1 - left / bytes)) due.add(part.key as string)
    else left += part.bytes
  }
  return due
}

/**
 * Bytes of these tables that a rehearsal loads in any case: the base does not hold them, or without a proof. What has changed
 * since comes to it.
 * @param held what the base holds of them, by name, with the proofs that count
 */
export function bytesUnproved(
  tables: readonly { name: string; bytes: number }[],
  held: ReadonlyMap<string, BackedUpTable>,
): number {
  return tables.reduce((sum, { name, bytes }) => {
    const parts = held.get(name)?.parts ?? []
    const all = storedBytes(parts)
    const open = storedBytes(parts.filter(({ provedAt }) => typeof provedAt !== 'string'))
    return sum + (all === 0 ? bytes : bytes * (open / all))
  }, 0)
}

function storedBytes(parts: readonly TablePart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Parts of a table stay together, so that in time the table is loaded whole. */
function byAge(one: Proved, other: Proved): number {
  return (
    one.provedAt - other.provedAt ||
    (one.table < other.table ? -1 : one.table > other.table ? 1 : one.part.shard - other.part.shard)
  )
}
