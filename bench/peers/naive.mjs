// What is written first and never measured: all rows of a table at once, made to JSON at once. Called as a function is.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'

/** @param {{ url: string, folder: string, tables: string[] }} event */
export async function handler({ url, folder, tables }) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const table of tables) {
    const { rows } = await client.query(`SELECT * FROM ${table}`)
    await writeFile(join(folder, `${table}.json`), JSON.stringify(rows))
  }
  await client.end()
}
