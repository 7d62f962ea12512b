import type { Redis } from 'ioredis'
import { prose, randomOf, word } from './words.ts'

/** At scale 1. */
const keys = 100_000

export const keyPrefix = 'taskmaster:'
/** All that putKeys writes, and not the mark of the environment. */
export const keyPattern = `${keyPrefix}page:*`
export const keysAt = (scale: number) => Math.max(1, Math.round(keys * scale))

/** Writes the string keys of a scale, the same ones every time; what is there is written again. */
export async function putKeys(redis: Redis, scale: number): Promise<void> {
  const random = randomOf(99)
  const total = keysAt(scale)
  for (let start = 0; start < total; start += 5_000) {
    const pairs: string[] = []
    for (let number = start; number < Math.min(total, start + 5_000); number++) {
      const value = JSON.stringify({ user: number, at: word(random), said: prose(random, 15) })
      pairs.push(`${keyPattern.slice(0, -1)}/worlds/${number}`, value)
    }
    await redis.mset(pairs)
  }
}
