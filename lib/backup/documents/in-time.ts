import pMap from 'p-map'
import type { Clients } from '../../clients.ts'

/** Whether there is time to look at one more. */
export type HasTime = () => boolean

/** Nothing is wrong with a document: it was not looked at any more. */
export class NoTime extends Error {
  override readonly name = 'NoTime'
}

/** A gateway waits 29 s for an answer; and what was begun in the last of these milliseconds may be some megabytes, which somebody else made. */
const lookMs = 8_000

/** From now on. @see docs/decisions.md#what-looks-for-a-backup-has-a-time */
export function timeToLook({ now }: Pick<Clients, 'now'>): HasTime {
  const began = now().getTime()
  return () => now().getTime() - began < lookMs
}

/** null: there was no time for all of it. */
export async function ifTime<Found>(reading: Promise<Found>): Promise<Found | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof NoTime) return null
    throw error
  }
}

/**
 * What is read of these side by side, in their order, up to the first that there was no time for. The first of all is read in any case, so
 * that whoever goes on where this ends gets on.
 * @param read is given what says whether to parse what it has fetched: what takes long is that, one after the other
 */
export async function readInTime<Found>(
  ids: readonly string[],
  { hasTime, concurrency }: { hasTime: HasTime; concurrency: number },
  read: (backupId: string, hasTime: HasTime) => Promise<Found>,
): Promise<Found[]> {
  const looks = await pMap(
    ids,
    async (backupId, at) => {
      const goesOn = at === 0 ? () => true : hasTime
      try {
        return goesOn() ? [await read(backupId, goesOn)] : []
      } catch (error) {
        if (error instanceof NoTime) return []
        throw error
      }
    },
    { concurrency },
  )
  const end = looks.findIndex((look) => look.length === 0)
  return (end === -1 ? looks : looks.slice(0, end)).flat()
}
