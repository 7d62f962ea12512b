import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findServer, howToInstall } from '../../local/cache/redis.ts'
import { type PostgresPrograms, unprivilegedUser } from '../../local/database/programs.ts'
import { findProgram, isExecutable } from '../../local/packages/programs.ts'

/** What is needed for any measuring is not installed. The message says how it is. */
export class NotInstalled extends Error {
  override readonly name = 'NotInstalled'
}

const how = 'On Debian and Ubuntu: sudo apt-get install --no-install-recommends postgresql postgresql-client'

/** A program of that name on the path. */
export function programOf(name: string): string | undefined {
  return findProgram([name], process.env.PATH ?? '')
}

/** @throws NotInstalled also when there is no Redis: an imitation is nothing to be measured. */
export async function findServers(): Promise<PostgresPrograms> {
  if (findServer() === undefined)
    throw new NotInstalled(`There is no Redis server to be measured on. ${howToInstall()}`)
  return findPostgres()
}

/**
 * The newest server of the system that its own `pg_dump` can dump: that refuses every server that is newer than itself,
 * as is the one of the embedded stack.
 * @throws NotInstalled
 */
async function findPostgres(): Promise<PostgresPrograms> {
  const dump = programOf('pg_dump')
  if (dump === undefined) throw new NotInstalled(`There is no pg_dump to be measured beside. ${how}`)
  const newest = await majorOf(dump)
  const found: { major: number; folder: string }[] = []
  for (const folder of foldersOfServers()) {
    const major = await majorOf(join(folder, 'postgres'))
    if (major <= newest) found.push({ major, folder })
  }
  const [best] = found.sort((one, other) => other.major - one.major)
  if (best === undefined)
    throw new NotInstalled(`There is no PostgreSQL server that pg_dump ${newest} could dump. ${how}`)
  const initdb = join(best.folder, 'initdb')
  return { initdb, postgres: join(best.folder, 'postgres'), user: await unprivilegedUser() }
}

/** Debian keeps one folder for each version, others put them on the path. */
function foldersOfServers(): string[] {
  const onPath = programOf('postgres')
  const folders = [...globSync('/usr/lib/postgresql/*/bin'), ...(onPath ? [dirname(onPath)] : [])]
  return folders.filter((folder) => ['postgres', 'initdb'].every((name) => isExecutable(join(folder, name))))
}

/** The first line of what a program says to `--version`. */
export async function versionOf(program: string, flag = '--version'): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [flag], { timeout: 10_000 })
  return stdout.split('\n')[0]?.trim() ?? ''
}

async function majorOf(program: string): Promise<number> {
  return Number(/\) (\d+)/.exec(await versionOf(program))?.[1] ?? 0)
}
