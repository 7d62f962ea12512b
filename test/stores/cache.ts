import { handler as exportBatch } from '../../functions/export.ts'
import { handler as putback } from '../../functions/putback.ts'
import { handler as wipe } from '../../functions/wipe.ts'
import { environmentKey, fenceKey } from '../../lib/cache/keys.ts'
import type { FreshStack } from '../support/stack.ts'
import type { Conforming } from './conform.ts'

/** With the CACHE_PREFIX of conform.trust.test.ts. */
const prefix = 'app:'

/** Values of two types, some with an expiry, some below a preserved pattern, and a key that begins otherwise. */
export function cacheOf(stack: () => FreshStack): Conforming<'cache'> {
  const target = 'cache'
  const expiry = Date.now() + 3_600_000
  const keys = async () =>
    (await stack().redis.keys('*')).filter((key) => key !== environmentKey && key !== fenceKey)

  async function values(isWanted: (key: string) => boolean): Promise<Map<string, string>> {
    const { redis } = stack()
    const found = new Map<string, string>()
    for (const key of (await keys()).filter(isWanted).sort()) {
      const isHash = (await redis.type(key)) === 'hash'
      const value = isHash ? Object.entries(await redis.hgetall(key)).sort() : await redis.get(key)
      found.set(key, JSON.stringify([value, await redis.pexpiretime(key)]))
    }
    return found
  }

  async function remove(isWanted: (key: string) => boolean): Promise<void> {
    const gone = (await keys()).filter(isWanted)
    if (gone.length > 0) await stack().redis.del(gone)
  }

  return {
    name: target,
    async fill() {
      await remove(() => true)
      const pipeline = stack().redis.pipeline().set('other:1', 'of another application')
      for (let i = 0; i < 6; i++)
        pipeline.set(`${prefix}${i % 3 === 0 ? 'session' : 'page'}:${i}`, `value ${i}`)
      await pipeline.hset(`${prefix}hash`, { a: '1', b: '2' }).pexpireat(`${prefix}hash`, expiry).exec()
    },
    empty: () => remove((key) => key.startsWith(prefix)),
    async add() {
      await stack().redis.set(`${prefix}later`, 'later')
      return `${prefix}later`
    },
    things: () => values((key) => key.startsWith(prefix)),
    outside: () => values((key) => !key.startsWith(prefix)),
    preserve: { tables: [], files: [], keys: [`${prefix}session:*`] },
    isPreserved: (name) => name.startsWith(`${prefix}session:`),
    async remark(name) {
      if (name === null) await stack().redis.del(environmentKey)
      else await stack().redis.set(environmentKey, name)
    },
    keepsLater: true,
    found: ({ keys, preservedKeys }) => ({ all: keys, preserved: preservedKeys }),
    counted: ({ keys }) => keys,
    steps: {
      backUp: ({ runId, attempt, batches }) =>
        batches.cache.map((batch) => ({ handler: exportBatch, input: { runId, attempt, target, batch } })),
      wipe: ({ runId, attempt }) => [{ handler: wipe, input: { runId, attempt, target } }],
      restore: ({ runId, attempt }) => [{ handler: putback, input: { runId, attempt, target } }],
    },
  }
}
