import { execFile } from 'node:child_process'
import { access, chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../lib/errors.ts'
import { findProgram } from './programs.ts'

const execute = promisify(execFile)

export type Wanted = {
  /** Names of Debian packages; what they depend on and the machine does not have comes along. */
  packages: string[]
  /** The program in them, below their root. */
  program: string
  /** Lines of sh for what it needs in its environment; `$root` is the folder of the packages. */
  environment?: string
}

export type Fetching = {
  /** Where the programs are that do it. */
  path: string
  /** Milliseconds since 1970. */
  deadline: number
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
 * Downloads packages of the machine's own Debian or Ubuntu, unpacks them into a folder, and writes a script beside them
 * that runs the program with their libraries. Needs no root and changes nothing of the machine. apt-get checks what it
 * downloads against lists that are signed with the machine's keys; a source that is not signed is refused.
 * @returns the script
 * @throws Error in one line, when it did not work out in time; the folder may then hold a part of it
 */
export async function fetchDebianPackages(
  wanted: Wanted,
  folder: string,
  fetching: Fetching,
): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), 'taskmaster-apt-'))
  try {
    const archives = await download(wanted.packages, work, fetching)
    const root = join(folder, 'root')
    await mkdir(root, { recursive: true })
    for (const archive of archives) await run('dpkg-deb', ['--extract', archive, root], fetching)
    return await writeScript(wanted, folder, root)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** With the machine's lists of packages where it has some; else, or when those are too old, with lists of our own. */
async function download(packages: string[], work: string, fetching: Fetching): Promise<string[]> {
  const own = join(work, 'lists')
  const archives = join(work, 'cache', 'archives')
  for (const folder of [join(own, 'partial'), join(archives, 'partial')])
    await mkdir(folder, { recursive: true })
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
    const options = Object.entries({ ...settings, 'Dir::State::lists': lists }).flatMap(([name, value]) => [
      '--option',
      `${name}=${value}`,
    ])
    return run('apt-get', [...options, '--quiet=2', ...args], fetching)
  }
  const install = [
    '--download-only',
    '--no-install-recommends',
    '--reinstall',
    '--yes',
    'install',
    ...packages,
  ]

  await mkdir(join(work, 'state'))
  try {
    await apt(install, '/var/lib/apt/lists')
  } catch {
    await rm(archives, { recursive: true })
    await mkdir(join(archives, 'partial'), { recursive: true })
    // One source of several may be out of reach without need; whether it was needed is seen by what comes next.
    const update = await apt(['update'], own).catch((error: Error) => error)
    await apt(install, own).catch((error: Error) => {
      throw update instanceof Error ? update : error
    })
  }
  const files = await readdir(archives)
  return files.filter((file) => file.endsWith('.deb')).map((file) => join(archives, file))
}

async function writeScript(wanted: Wanted, folder: string, root: string): Promise<string> {
  await access(join(root, wanted.program)).catch((cause) => {
    throw new Error(`the packages here (${wanted.packages.join(', ')}) hold no ${wanted.program}`, { cause })
  })
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const libraries = entries.filter(({ name }) => /\.so(\.|$)/.test(name)).map(({ parentPath }) => parentPath)
  const below = [...new Set(libraries)].map((library) => `$root/${relative(root, library)}`)
  const script = join(folder, 'bin', basename(wanted.program))
  await mkdir(dirname(script), { recursive: true })
  await writeFile(
    script,
    [
      '#!/bin/sh',
      '# Runs a program of Debian packages that were unpacked, not installed.',
      `root="\${0%/*}/../root"`,
      // An empty path would be the current folder.
      ...(below.length > 0 ? [`export LD_LIBRARY_PATH="${below.join(':')}"`] : []),
      ...(wanted.environment === undefined ? [] : [wanted.environment]),
      `exec "$root/${wanted.program}" "$@"`,
      '',
    ].join('\n'),
  )
  await chmod(script, 0o755)
  return script
}

/** @throws Error in one line */
async function run(name: string, args: string[], { path, deadline }: Fetching): Promise<void> {
  const program = findProgram([name], path)
  if (program === undefined) throw new Error(`this machine has no ${name}`)
  const left = Math.max(1, deadline - Date.now())
  try {
    await execute(program, args, {
      env: { ...reachability(), PATH: path, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      timeout: left,
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 1024 ** 2,
    })
  } catch (cause) {
    const { killed, stderr = '' } = cause as { killed?: boolean; stderr?: string }
    const said = stderr.split('\n').filter((line) => /^(E|W): /.test(line))
    const reason = killed ? 'it took too long' : (said[0] ?? stderr.trim().split('\n').at(-1) ?? '')
    throw new Error(`${name}: ${reason.replace(/^[EW]: /, '')}`, { cause })
  }
}

/** Not our whole environment, which may hold credentials: only how the mirrors are reached from here. */
function reachability(): NodeJS.ProcessEnv {
  const named = /^(https?_proxy|no_proxy|apt_config|home|tmpdir)$/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => named.test(name)))
}
