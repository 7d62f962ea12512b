import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inDatabase, query } from '../stores/database.ts'
import type { Bench, Peer } from '../subjects/subject.ts'
import { postgresVariables, timed } from './command.ts'

/** Where pg_restore puts the rows: a database that holds nothing else. */
const target = 'peer'

const folderDump = 'pg_dump -Fd -j2 -Z1 -f "$DUMP"'
const restore = `pg_restore -j2 --dbname=${target} "$DUMP"`

async function run(
  command: string,
  { world, folder }: Bench,
  as = 'dump',
): Promise<ReturnType<typeof timed>> {
  return timed(command, { ...postgresVariables(world.adminUrl), DUMP: join(folder, as) })
}

async function makeTarget({ world }: Bench): Promise<void> {
  const server = inDatabase(world.adminUrl, 'postgres')
  await query(server, `DROP DATABASE IF EXISTS ${target} WITH (FORCE)`, `CREATE DATABASE ${target}`)
}

/** pg_dump refuses to write where something lies. */
const removeDump = ({ folder }: Bench, as = 'dump') => rm(join(folder, as), { recursive: true, force: true })

/** The peers that come with Postgres itself. */
export const dumpToFolder = (of: string): Peer => ({
  name: 'pg_dump -Fd -j2 -Z1',
  of,
  needs: ['pg_dump'],
  async measure(bench) {
    await removeDump(bench)
    return run(folderDump, bench)
  },
})

export const dumpToFile = (of: string): Peer => ({
  name: 'pg_dump -Fc',
  of,
  needs: ['pg_dump'],
  async measure(bench) {
    await removeDump(bench)
    return run('pg_dump -Fc -f "$DUMP"', bench)
  },
})

export const dumpAndRestore = (of: string): Peer => ({
  name: 'pg_dump -Fd -j2 -Z1, pg_restore -j2',
  of,
  needs: ['pg_dump', 'pg_restore'],
  async measure(bench) {
    await removeDump(bench)
    await makeTarget(bench)
    return run(`${folderDump}; ${restore}`, bench)
  },
})

export const restoreFromFolder = (of: string): Peer => ({
  name: 'pg_restore -j2',
  of,
  needs: ['pg_dump', 'pg_restore'],
  async prepare(bench) {
    await removeDump(bench, 'kept')
    await run(folderDump, bench, 'kept')
  },
  async measure(bench) {
    await makeTarget(bench)
    return run(restore, bench, 'kept')
  },
})
