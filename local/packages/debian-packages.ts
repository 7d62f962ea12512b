import { access, chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { downloadPackages, type Fetching, run } from './apt.ts'

export type Wanted = {
  /** Names of Debian packages; what they depend on and the machine does not have comes along. */
  packages: string[]
  /** The program in them, below their root. */
  program: string
  /** Lines of sh for what it needs in its environment; `$root` is the folder of the packages. */
  environment?: string
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
    const archives = await downloadPackages(wanted.packages, work, fetching)
    const root = join(folder, 'root')
    await mkdir(root, { recursive: true })
    for (const archive of archives) await run('dpkg-deb', ['--extract', archive, root], fetching)
    return await writeScript(wanted, folder, root)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
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
