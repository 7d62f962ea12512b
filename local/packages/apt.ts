import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../lib/errors.ts'
import { findProgram } from './programs.ts'

const execute = promisify(execFile)

export type Fetching = {
  /** Where the programs are that do it. */
  path: string
  /** Milliseconds since 1970. */
  deadline: number
  /** How long nothing may arrive from the mirrors. */
  silenceMs?: number
}

/** The mirrors cannot be reached, or have fallen silent. */
class MirrorsSilent extends Error {
  override readonly name = 'MirrorsSilent'
}

/** @throws Error where there is no use in trying */
export function assertFetches(path: string): void {
  if (process.platform !== 'linux') throw new Error('there are packages to fetch only on Linux')
  if (findProgram(['apt-get'], path) === undefined) throw new Error('this machine has no apt-get')
}

/** Whether the lists of packages do not name it: another name may be known. */
export function isUnknownPackage(error: unknown): boolean {
  return /Unable to locate package|no installation candidate/.test(messageOf(error))
}

/**
 * Downloads packages, with what they depend on and the machine does not have, by the machine's own sources and keys. Uses
 * the machine's lists of packages where it has some; else, or when those are too old, lists of its own.
 * @param work a folder for all that apt-get writes
 * @returns the archives
 * @throws Error in one line
 */
export async function downloadPackages(
  packages: string[],
  work: string,
  fetching: Fetching,
): Promise<string[]> {
  const [own, archives] = [join(work, 'lists'), join(work, 'cache', 'archives')]
  for (const folder of [join(own, 'partial'), join(work, 'state')]) await mkdir(folder, { recursive: true })
  const settings = {
    'Dir::State': join(work, 'state'),
    'Dir::Cache': join(work, 'cache'),
    // Nothing of the machine's is written, so there is nothing to lock, and only root may.
    'Debug::NoLocking': 'true',
    'APT::Sandbox::User': 'root',
    'APT::Get::AllowUnauthenticated': 'false',
    'Acquire::AllowInsecureRepositories': 'false',
    'Acquire::AllowWeakRepositories': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '0',
    'Acquire::http::Timeout': '5',
    'Acquire::https::Timeout': '5',
  }
  const apt = (args: string[], lists: string) => {
    const given = Object.entries({ ...settings, 'Dir::State::lists': lists })
    const options = given.flatMap(([name, value]) => ['--option', `${name}=${value}`])
    return unlessSilent(work, fetching, (signal) =>
      run('apt-get', [...options, '--quiet=2', ...args], fetching, signal),
    )
  }
  async function install(lists: string): Promise<string[]> {
    await rm(archives, { recursive: true, force: true })
    await mkdir(join(archives, 'partial'), { recursive: true })
    const how = ['--download-only', '--no-install-recommends', '--reinstall', '--yes']
    const complaint = await apt([...how, 'install', ...packages], lists)
    const found = (await readdir(archives)).filter((file) => file.endsWith('.deb'))
    if (found.length === 0) throw new Error(complaint || 'apt-get downloaded nothing')
    return found.map((file) => join(archives, file))
  }

  try {
    return await install('/var/lib/apt/lists')
  } catch (error) {
    if (error instanceof MirrorsSilent) throw error
  }
  // One source of several may be out of reach without need; whether it was needed is seen by what comes next.
  const update = await apt(['update'], own).catch((error) => {
    if (error instanceof MirrorsSilent) throw error
    return messageOf(error)
  })
  return await install(own).catch((error: Error) => {
    throw update === '' ? error : new Error(update, { cause: error })
  })
}

/** @returns what it complained about, although it went well. @throws Error in one line */
export async function run(
  name: string,
  args: string[],
  { path, deadline }: Fetching,
  signal?: AbortSignal,
): Promise<string> {
  const program = findProgram([name], path)
  if (program === undefined) throw new Error(`this machine has no ${name}`)
  try {
    const { stderr } = await execute(program, args, {
      env: { ...reachability(), PATH: path, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      timeout: Math.max(1, deadline - Date.now()),
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 1024 ** 2,
      ...(signal && { signal }),
    })
    return firstComplaint(name, stderr)
  } catch (cause) {
    const { killed, stderr = '' } = cause as { killed?: boolean; stderr?: string }
    const reason = killed ? `${name}: it took too long` : firstComplaint(name, stderr)
    throw new Error(reason || `${name} failed and said nothing`, { cause })
  }
}

/** apt-get waits for each file of each source in turn, for a minute and more where nothing answers. */
async function unlessSilent<Result>(
  work: string,
  { silenceMs = 10_000 }: Fetching,
  act: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const silent = new AbortController()
  let [held, since] = [0, Date.now()]
  const watch = setInterval(
    async () => {
      const now = await sizeOf(work)
      if (now !== held) [held, since] = [now, Date.now()]
      else if (Date.now() - since >= silenceMs) silent.abort()
    },
    Math.min(500, silenceMs / 4),
  )
  try {
    return await act(silent.signal)
  } catch (cause) {
    if (!silent.signal.aborted) throw cause
    throw new MirrorsSilent(`nothing came from the mirrors for ${silenceMs / 1000} s`, { cause })
  } finally {
    clearInterval(watch)
  }
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const sizes = entries.map(({ parentPath, name }) =>
    stat(join(parentPath, name)).then(
      ({ size }) => size,
      () => 0, // renamed or removed since it was listed
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/** Of several lines of apt's the first is the cause, and the others follow from it. */
function firstComplaint(name: string, stderr: string): string {
  const said = stderr.split('\n').filter((line) => line.trim() !== '')
  const line = said.find((one) => /^[EW]: /.test(one)) ?? said.at(-1)
  return line === undefined ? '' : `${name}: ${line.replace(/^[EW]: /, '')}`
}

/** Not our whole environment, which may hold credentials: only how the mirrors are reached from here. */
function reachability(): NodeJS.ProcessEnv {
  const named = /^(https?_proxy|no_proxy|apt_config|home|tmpdir)$/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => named.test(name)))
}
