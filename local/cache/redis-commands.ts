import type { Redis } from 'ioredis'
import { mockPrelude } from './mock-prelude.ts'
import type { RedisStore } from './redis.ts'

export type Reply = Buffer | string | number | null | Reply[]
export type Command = [name: string, ...args: (string | Buffer)[]]

/** Any command by its name, with replies as the bytes that Redis sent. */
export type RedisCommands = {
  run(command: Command): Promise<Reply>
  /** All or nothing, in order; an error of one command stands in its place. Rejects when none was run. */
  transaction(commands: Command[]): Promise<(Reply | Error)[]>
  end(): void
}

export function redisCommands(store: RedisStore): RedisCommands {
  const redis = store.connect()
  return store.mock ? mockCommands(redis) : serverCommands(redis)
}

function serverCommands(redis: Redis): RedisCommands {
  return {
    // ioredis turns replies of the lower-case `hgetall` into objects; upper case keeps them as they came.
    run: ([name, ...args]) => redis.callBuffer(name.toUpperCase(), args) as Promise<Reply>,
    transaction: async (commands) => {
      const transaction = redis.multi()
      for (const [name, ...args] of commands) transaction.callBuffer(name.toUpperCase(), args)
      const replies = (await transaction.exec()) ?? []
      return replies.map(([error, reply]) => error ?? (reply as Reply))
    },
    end: () => redis.disconnect(),
  }
}

type MockMethod = (...args: (string | Buffer)[]) => Promise<unknown>

/** ioredis-mock has a method for each command it knows, and none that takes the command's name. */
function mockCommands(redis: Redis): RedisCommands {
  const methods = redis as unknown as Record<string, MockMethod | undefined>

  async function run([name, ...args]: Command): Promise<Reply> {
    const method = methods[`${name.toLowerCase()}Buffer`]
    if (!method || name.toLowerCase() === 'call') throw unknownCommand(name)
    try {
      return flat(await method.apply(redis, name.toUpperCase() === 'EVAL' ? withPrelude(args) : args))
    } catch (error) {
      if (String(error).includes('Unsupported command')) throw unknownCommand(name)
      throw error
    }
  }

  return {
    run,
    // The mock executes a command before the call returns, so nothing comes between these.
    transaction: async (commands) => {
      const results = await Promise.allSettled(commands.map(run))
      return results.map((result) => (result.status === 'fulfilled' ? result.value : asError(result.reason)))
    },
    end: () => redis.disconnect(),
  }
}

function withPrelude([script = '', ...rest]: (string | Buffer)[]): (string | Buffer)[] {
  return [`${mockPrelude}${script}`, ...rest]
}

/** The mock gives the fields of a hash as an object, with values as Buffers; Redis sends one flat list. */
function flat(reply: unknown): Reply {
  if (reply === null || typeof reply !== 'object' || Buffer.isBuffer(reply)) return (reply ?? null) as Reply
  if (Array.isArray(reply)) return reply.map(flat)
  return Object.entries(reply).flatMap(([field, value]) => [Buffer.from(field), flat(value)])
}

function unknownCommand(name: string): Error {
  return new Error(
    `ERR unknown command '${name}' (ioredis-mock does not know it; install redis-server to have it)`,
  )
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
