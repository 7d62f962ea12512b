import { readFile, statfs } from 'node:fs/promises'
import type { TestProject } from 'vitest/node'
import { provideRedis } from '../../local/cache/provide-redis.ts'
import { startRedis } from '../../local/cache/redis.ts'
import { startPostgres } from '../../local/database/postgres.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** One server for the whole run; every stack gets a database of its own in it. */
    postgresAdminUrl: string
    postgresMajor: number
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (await isRoomy(memory)) process.env.TMPDIR = memory
  // The workers that come after it find the server on the PATH that they inherit, and none of them tries again.
  if (!(await provideRedis({ fetch: true, note: (text) => console.error(text) })))
    process.env.REDIS_SERVER = 'none'
  const guarded = await guardProcesses((error) => console.error(error.message))
  try {
    const [postgres, redis] = await Promise.all([startPostgres(guarded), startRedis(guarded)])
    console.log(`Tests run on ${postgres.description} and ${redis.description.split(' on ')[0]}.`)
    project.provide('postgresAdminUrl', postgres.adminUrl)
    project.provide('postgresMajor', Number.parseInt(postgres.version, 10))
    return guarded.stop
  } catch (error) {
    await guarded.stop()
    throw error
  }
}

/** Files that lie in memory. */
const memory = '/dev/shm'
const enoughBytes = 8 * 1024 ** 3

/**
 * Whether all temporary files of a run may lie there. A disk's file system takes a while to make a file where one was
 * removed a moment ago, which every test does by the dozen with its tables.
 */
async function isRoomy(folder: string): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(folder)
    const mounted = (await readFile('/proc/mounts', 'utf8'))
      .split('\n')
      .find((line) => line.split(' ')[1] === folder)
    // PostgreSQL's programs may have to be copied there, and run.
    return bavail * bsize >= enoughBytes && mounted !== undefined && !mounted.includes('noexec')
  } catch {
    return false // not Linux
  }
}
