import type { TestProject } from 'vitest/node'
import { guardProcesses } from '../../local/guarded.ts'
import { startPostgres } from '../../local/postgres.ts'
import { startRedis } from '../../local/redis.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** One server for the whole run; every stack gets a database of its own in it. */
    postgresAdminUrl: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const guarded = await guardProcesses((error) => console.error(error.message))
  try {
    const [postgres, redis] = await Promise.all([startPostgres(guarded), startRedis(guarded)])
    console.log(`Tests run on ${postgres.description} and ${redis.description.split(' on ')[0]}.`)
    project.provide('postgresAdminUrl', postgres.adminUrl)
    return guarded.stop
  } catch (error) {
    await guarded.stop()
    throw error
  }
}
