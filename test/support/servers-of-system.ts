import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { startPostgres } from '../../local/database/postgres.ts'
import { findPostgres } from '../../local/database/programs.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'

/** Servers of the system, where Debian has them, with pg_dump beside them: of other versions than the installed one, which has none. */
export const serversOfSystem = globSync('/usr/lib/postgresql/*/bin').map((folder) => ({
  folder,
  version: basename(join(folder, '..')),
}))

export const howToInstallServer =
  'There is no PostgreSQL server of the system with a pg_dump: apt-get install postgresql'

/** Starts one of them, empty. */
export async function startServerOfSystem(
  folder: string,
): Promise<{ adminUrl: string; stop: () => Promise<void> }> {
  const guarded = await guardProcesses(() => {})
  try {
    const programs = await findPostgres(guarded, folder)
    return { adminUrl: (await startPostgres(guarded, {}, programs)).adminUrl, stop: guarded.stop }
  } catch (error) {
    await guarded.stop()
    throw error
  }
}
