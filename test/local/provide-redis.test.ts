import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { provideRedis } from '../../local/cache/provide-redis.ts'
import { findServer, howToInstall, servers, startRedis } from '../../local/cache/redis.ts'
import { findProgram } from '../../local/packages/programs.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'

const execute = promisify(execFile)
const PATH = process.env.PATH ?? ''
const installed = findProgram(servers, PATH)
const canPack = installed !== undefined && findProgram(['dpkg-deb'], PATH) !== undefined

let folder: string
/** A path on which there is what unpacking needs, and no Redis; an apt-get only when a test puts it there. */
let bin: string
let cache: string
let notes: string[]
const note = (text: string) => void notes.push(text)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'provide redis-'))
  bin = join(folder, 'bin')
  cache = join(folder, 'node modules', 'redis')
  notes = []
  await mkdir(bin)
  for (const name of ['dpkg-deb', 'tar', 'cp', 'sleep', 'sh']) {
    const program = findProgram([name], PATH)
    if (program !== undefined) await symlink(program, join(bin, name))
  }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\n${script}\n`)
  await chmod(file, 0o755)
}

/** A package with a redis-server that does what the script does, in a mirror of which an apt-get downloads it. */
async function mirror(server: string): Promise<void> {
  const content = join(folder, 'content')
  await mkdir(join(content, 'usr/bin'), { recursive: true })
  await mkdir(join(content, 'DEBIAN'))
  await program(join(content, 'usr/bin/redis-server'), server)
  const control =
    'Package: redis-server\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n'
  await writeFile(join(content, 'DEBIAN/control'), control)
  const archive = join(folder, 'redis-server.deb')
  await execute('dpkg-deb', ['--build', '--root-owner-group', content, archive])
  await program(
    join(bin, 'apt-get'),
    `echo "$@" >> '${join(folder, 'apt.log')}'
sleep 0.2
for word in "$@"; do case "$word" in Dir::Cache=*) cache="\${word#Dir::Cache=}";; install) install=1;; esac; done
[ -z "$install" ] || cp '${archive}' "$cache/archives/"`,
  )
}

const provide = (more: Partial<Parameters<typeof provideRedis>[0]> = {}) => {
  const environment: NodeJS.ProcessEnv = { PATH: bin }
  return provideRedis({ environment, cache, fetch: true, note, ...more }).then((real) => ({
    real,
    environment,
  }))
}

/** What of a fetch is still there. */
const left = () => readdir(join(folder, 'node modules')).catch(() => [])

describe('a real Redis is looked for', () => {
  test('as redis-server in every folder of the path, then as valkey-server', async () => {
    const [one, other] = [join(folder, 'one'), join(folder, 'other')]
    for (const path of [one, other]) await mkdir(path)
    await program(join(one, 'valkey-server'), '')
    expect(findProgram(servers, `${one}:${other}`)).toBe(join(one, 'valkey-server'))
    await program(join(other, 'redis-server'), '')
    expect(findProgram(servers, `${one}:${other}`)).toBe(join(other, 'redis-server'))
  })

  test('on the path first: nothing is fetched, and nothing said', async () => {
    await program(join(bin, 'redis-server'), '')
    await program(join(bin, 'apt-get'), 'exit 1')
    expect(await provide()).toEqual({ real: true, environment: { PATH: bin } })
    expect(notes).toEqual([])
  })

  test('not at all when REDIS_SERVER=none asks for the imitation', async () => {
    await program(join(bin, 'redis-server'), '')
    expect(await provide({ environment: { PATH: bin, REDIS_SERVER: 'none' } })).toMatchObject({ real: false })
    expect(notes).toEqual([])
    expect(findServer({ PATH: bin })).toBe(join(bin, 'redis-server'))
    expect(findServer({ PATH: bin, REDIS_SERVER: 'none' })).toBe(undefined)
  })
})

describe.skipIf(!canPack)('a Redis out of Debian packages', () => {
  const works = `exec '${installed}' "$@"`

  test('is fetched without root, runs as any other, and is found again without a fetch', async () => {
    await mirror(works)
    const { real, environment } = await provide()
    expect({ real, path: environment.PATH }).toEqual({ real: true, path: `${bin}:${join(cache, 'bin')}` })
    expect(notes).toEqual([expect.stringContaining('fetching one, once')])
    const guarded = await guardProcesses()
    try {
      const store = await startRedis(guarded, environment)
      const redis = store.connect()
      expect([store.mock, await redis.ping()]).toEqual([false, 'PONG'])
      redis.disconnect()
    } finally {
      await guarded.stop()
    }
    await rm(join(bin, 'apt-get'))
    expect(await provide({ fetch: false })).toMatchObject({ real: true })
    expect(notes).toHaveLength(1)
  })

  test('is accepted only from a signed source', async () => {
    await mirror(works)
    await provide()
    const asked = await readFile(join(folder, 'apt.log'), 'utf8')
    for (const rule of ['APT::Get::AllowUnauthenticated', 'Acquire::AllowInsecureRepositories'])
      expect(asked).toContain(`${rule}=false`)
    expect(asked).not.toMatch(/allow-unauthenticated|force-yes|trusted=/i)
  })

  test('is fetched once by processes that start at the same time', async () => {
    await mirror(works)
    const all = await Promise.all([provide(), provide(), provide()])
    expect(all.map(({ real }) => real)).toEqual([true, true, true])
    expect((await readFile(join(folder, 'apt.log'), 'utf8')).trim().split('\n')).toHaveLength(1)
    expect(await left()).toEqual(['redis'])
  })

  test('is fetched although a process that was to fetch it has died', async () => {
    await mirror(works)
    await mkdir(join(folder, 'node modules'))
    await writeFile(`${cache}.lock`, String(2 ** 22 + 1)) // no process has this id
    expect(await provide()).toMatchObject({ real: true })
    expect(await left()).toEqual(['redis'])
  })

  test('is not kept when it does not run', async () => {
    await mirror('echo "error while loading shared libraries" >&2; exit 127')
    expect(await provide()).toMatchObject({ real: false, environment: { PATH: bin } })
    expect(notes.at(-1)).toMatch(
      /the server that was fetched does not run: redis-server did not start \(exit code 127\)/,
    )
    expect(await left()).toEqual([])
  })

  test('is fetched anew when the kept one no longer runs', async () => {
    await mirror(works)
    await provide()
    await program(join(cache, 'bin', 'redis-server'), 'exit 127')
    expect(await provide()).toMatchObject({ real: true })
    expect(await execute(join(cache, 'bin', 'redis-server'), ['--version'])).toBeDefined()
  })
})

describe('where none can be fetched, one line says why and what to do', () => {
  const advice = howToInstall()

  test('without apt-get', { skip: process.platform !== 'linux' }, async () => {
    expect(await provide()).toMatchObject({ real: false, environment: { PATH: bin } })
    expect(notes).toEqual([`No Redis server could be fetched (this machine has no apt-get). ${advice}`])
  })

  test('without a network that only the update noticed, with what that said', {
    skip: process.platform !== 'linux',
  }, async () => {
    // apt-get update ends well where it reached nothing, and then no package is known.
    const [update, install] = [
      "Failed to fetch http://mirror/InRelease  Could not resolve 'mirror'",
      'Unable to locate package redis-server',
    ]
    await program(
      join(bin, 'apt-get'),
      `echo run >> '${join(folder, 'apt.log')}'; case "$*" in *update) echo "W: ${update}" >&2;; *) echo "E: ${install}" >&2; exit 100;; esac`,
    )
    await provide()
    expect(notes.at(-1)).toBe(`No Redis server could be fetched (apt-get: ${update}). ${advice}`)
    expect(await readFile(join(folder, 'apt.log'), 'utf8'), 'nothing else is tried').toBe('run\n'.repeat(3))
  })

  test('without a network, with what apt-get said', { skip: process.platform !== 'linux' }, async () => {
    const said =
      "E: Failed to fetch http://mirror/dists/stable/InRelease  Temporary failure resolving 'mirror'"
    await program(join(bin, 'apt-get'), `echo "${said}" >&2; exit 100`)
    await provide()
    expect(notes.at(-1)).toBe(`No Redis server could be fetched (apt-get: ${said.slice(3)}). ${advice}`)
    expect(await left()).toEqual([])
  })

  test('with mirrors that fall silent', { skip: process.platform !== 'linux' }, async () => {
    await program(join(bin, 'apt-get'), 'exec sleep 600')
    await provide({ silenceMs: 200 })
    expect(notes.at(-1)).toBe(
      `No Redis server could be fetched (nothing came from the mirrors for 0.2 s). ${advice}`,
    )
  })

  test('with a network that is too slow', { skip: process.platform !== 'linux' }, async () => {
    await program(join(bin, 'apt-get'), 'exec sleep 600')
    await provide({ limitMs: 300 })
    expect(notes.at(-1)).toBe(`No Redis server could be fetched (apt-get: it took too long). ${advice}`)
    expect(await left()).toEqual([])
  })

  test('for each platform in its own words', () => {
    expect(howToInstall('darwin')).toContain('brew install redis')
    expect(howToInstall('linux')).toContain('apt-get install redis-server')
    expect(howToInstall('win32')).toContain('redis-server or valkey-server')
  })
})
