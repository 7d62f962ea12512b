import type { Redis } from 'ioredis'
import type { Reached } from '../store.ts'
import type { CacheShape } from './store.ts'

/** The types of keys that TaskMaster's cache holds, in turn. */
const makers: ((pipeline: ReturnType<Redis['pipeline']>, number: number) => void)[] = [
  (pipeline, number) =>
    pipeline.set(`session:${number}`, JSON.stringify({ user: number, at: 'worlds' }), 'EX', 86_400 + number),
  (pipeline, number) => pipeline.set(`page:/worlds/${number}`, `<h1>World ${number} — ä</h1>`),
  (pipeline, number) =>
    pipeline.hset(`user:${number}`, { name: `User ${number}`, visits: number * 3, empty: '' }),
  (pipeline, number) => pipeline.rpush(`feed:${number}`, ...words(number)),
  (pipeline, number) => pipeline.sadd(`tags:${number}`, ...words(number)),
  (pipeline, number) =>
    pipeline.zadd(`ranking:${number}`, ...words(number).flatMap((word, at) => [at * 1.5 - 1, word])),
]

/** Writes `300 * scale` keys of five types, every sixth with an expiry. */
export async function fillCache({ connectRedis }: Reached, scale: number): Promise<CacheShape['filled']> {
  const redis = connectRedis?.()
  if (redis === undefined)
    throw new Error('The sample is written to a Redis that is reached directly, not over REST')
  try {
    return { keys: await putKeys(redis, scale) }
  } finally {
    redis.disconnect()
  }
}

async function putKeys(redis: Redis, scale: number): Promise<number> {
  const total = Math.max(1, Math.round(300 * scale))
  for (let start = 0; start < total; start += 1_000) {
    const pipeline = redis.pipeline()
    for (let number = start; number < Math.min(total, start + 1_000); number++) {
      makers[number % makers.length]?.(pipeline, number + 1)
    }
    const answers = (await pipeline.exec()) ?? []
    const failed = answers.find(([error]) => error !== null)?.[0]
    if (failed)
      throw new Error(`The sample's keys could not be written: ${failed.message}`, { cause: failed })
  }
  return total
}

function words(number: number): string[] {
  return ['fable', 'moon', 'river', 'tower', 'lantern', 'crow']
    .slice(0, 2 + (number % 5))
    .map((word) => `${word}-${number}`)
}
