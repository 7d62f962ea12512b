import { fileURLToPath } from 'node:url'
import { tables } from '../data/rows.ts'
import { figureOf, lasting } from '../figures/figure.ts'
import { invoke } from '../steps/invoke.ts'
import { copyDatabase, inDatabase, query } from '../stores/database.ts'
import type { Peer } from '../subjects/subject.ts'

/** How long statements take that send no rows: what the server does is all that is waited for. */
async function lastingOf(url: string, statements: readonly string[]) {
  const startedAt = performance.now()
  await query(url, ...statements)
  return lasting((performance.now() - startedAt) / 1000)
}

/** Each row's text once, hashed and added up; the server may use all its workers. */
export const fingerprintPass = (of: string): Peer => ({
  name: 'one fingerprint pass',
  of,
  needs: [],
  measure: ({ world }) =>
    lastingOf(
      world.adminUrl,
      tables.map((table) => `SELECT count(*), sum(hashtextextended(t::text, 1)) FROM ${table} AS t`),
    ),
})

/** The limit of every export as JSON by one connection: the server makes the lines, and nobody takes them. */
export const jsonToNowhere = (of: string): Peer => ({
  name: "the server's JSON to /dev/null",
  of,
  needs: [],
  measure: ({ world }) =>
    lastingOf(
      world.adminUrl,
      tables.map((table) => `COPY (SELECT row_to_json(t) FROM ${table} AS t) TO '/dev/null'`),
    ),
})

export const truncate = (of: string): Peer => ({
  name: 'TRUNCATE … CASCADE',
  of,
  needs: [],
  async measure({ world }) {
    const name = new URL(world.adminUrl).pathname.slice(1)
    await copyDatabase(world.adminUrl, { from: `${name}_reference`, to: 'peer' })
    return lastingOf(inDatabase(world.adminUrl, 'peer'), [`TRUNCATE ${tables.join(', ')} CASCADE`])
  },
})

export const naiveExport = (of: string): Peer => ({
  name: 'SELECT * and JSON.stringify',
  of,
  needs: [],
  leftOut: (scale) =>
    scale > 1 ? 'it holds a whole table in memory, which then is more than there is' : undefined,
  async measure({ world, folder }) {
    const file = fileURLToPath(new URL('./naive.mjs', import.meta.url))
    const { measured } = await invoke(file, world.env, { url: world.adminUrl, folder, tables })
    return figureOf([measured])
  },
})
