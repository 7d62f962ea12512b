import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { messageOf } from '../../lib/errors.ts'
import { assertFetches, type Fetching, isUnknownPackage } from '../packages/apt.ts'
import { fetchDebianPackages } from '../packages/debian-packages.ts'
import { fetchOnce } from '../packages/fetch-once.ts'
import { findProgram } from '../packages/programs.ts'
import { guardProcesses } from '../processes/child-processes.ts'
import { howToInstall, servers, startServer } from './redis.ts'

type Providing = {
  /** Where to look; its PATH is added to when a server is found elsewhere. */
  environment?: NodeJS.ProcessEnv
  /** Where a fetched server is kept. npm ci clears it away. */
  cache?: string
  /** Whether one may be fetched, when there is none. */
  fetch: boolean
  /** Told in a sentence what is done that takes a while, and why there is no server. */
  note: (text: string) => void
  limitMs?: number
  silenceMs?: number
}

const ownCache = fileURLToPath(new URL('../../node_modules/.cache/redis', import.meta.url))
const packagesOf = {
  'redis-server': ['redis-server', 'redis-tools'],
  'valkey-server': ['valkey-server', 'valkey-tools'],
}
const downloadLimitMs = 90_000

/**
 * Sees to it that a real Redis is on the PATH of this process and of those it starts: one that is installed, else the one
 * that was fetched before, else one out of Debian's packages. `REDIS_SERVER=none` asks for the imitation.
 * To be called before anything is started; without it, startRedis takes what is on the PATH.
 * @returns whether there is one
 * @see docs/decisions.md#redis-is-borrowed-from-the-machines-own-packages
 */
export async function provideRedis(providing: Providing): Promise<boolean> {
  const {
    environment = process.env,
    cache = ownCache,
    fetch,
    note,
    limitMs = downloadLimitMs,
    silenceMs,
  } = providing
  if (environment.REDIS_SERVER === 'none') return false
  const path = environment.PATH ?? ''
  if (findProgram(servers, path) !== undefined) return true
  const kept = join(cache, 'bin')
  if (!(await holdsServer(cache))) {
    if (!fetch) return false
    try {
      await fetchServer(
        cache,
        { path, deadline: Date.now() + limitMs, ...(silenceMs && { silenceMs }) },
        note,
      )
    } catch (error) {
      note(`No Redis server could be fetched (${messageOf(error)}). ${howToInstall()}`)
      return false
    }
  }
  environment.PATH = [path, kept].filter((part) => part !== '').join(delimiter)
  return true
}

async function fetchServer(cache: string, fetching: Fetching, note: Providing['note']): Promise<void> {
  assertFetches(fetching.path)
  await fetchOnce({
    cache,
    deadline: fetching.deadline,
    holds: () => holdsServer(cache),
    fetch: async (folder) => {
      note(
        'There is no redis-server or valkey-server on the PATH; fetching one, once, from Debian packages …',
      )
      await fetchFirst(folder, fetching)
    },
  })
}

/** Asked each time: a machine whose libraries have changed since may not run it any more. */
async function holdsServer(cache: string): Promise<boolean> {
  const program = findProgram(servers, join(cache, 'bin'))
  if (program === undefined) return false
  return promisify(execFile)(program, ['--version']).then(
    () => true,
    () => false,
  )
}

/** The first server that this machine's packages have and that answers. */
async function fetchFirst(draft: string, fetching: Fetching): Promise<void> {
  let first: unknown
  for (const name of servers) {
    try {
      const wanted = { packages: packagesOf[name], program: `usr/bin/${name}` }
      const program = await fetchDebianPackages(wanted, draft, fetching)
      await assertAnswers(program)
      return
    } catch (error) {
      first ??= error
      await rm(join(draft, 'bin'), { recursive: true, force: true })
      if (!isUnknownPackage(error)) break
    }
  }
  throw first
}

async function assertAnswers(program: string): Promise<void> {
  const guarded = await guardProcesses()
  try {
    await startServer(guarded, program) // it is asked for its version there
  } catch (cause) {
    throw new Error(`the server that was fetched does not run: ${messageOf(cause).split('\n')[0]}`, { cause })
  } finally {
    await guarded.stop()
  }
}
