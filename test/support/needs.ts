import { test } from 'vitest'
import { findServer } from '../../local/cache/redis.ts'

/** Whether stacks get a real Redis, and not ioredis-mock. */
export const hasRedis = findServer() !== undefined

/** For rules that cannot be tried on ioredis-mock. What is skipped is listed by test/support/left-out.ts. */
export const needsRedis = test.skipIf(!hasRedis)

const { PATH, REDIS_SERVER, POSTGRES_PROGRAMS } = process.env
/** What a process that tests start has to know of this machine. */
export const machine = { PATH, REDIS_SERVER, POSTGRES_PROGRAMS }
