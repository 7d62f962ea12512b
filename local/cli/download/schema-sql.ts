import type { Definition, Migrations } from '../../../lib/backup/sections/definition.ts'
import { insertOf } from '../../../lib/database/definition/migrations.ts'
import { literal, qualified } from '../../../lib/postgres/identifiers.ts'

/** How the tables are made, for an empty database; the text stands in the backup, so it has to be signed. */
export function* schemaSql({ sql, leftOut, migrations }: Definition): Generator<string> {
  yield '-- How the tables were made, as their catalog said when they were backed up: for reading, and for want of migrations.\n'
  for (const one of leftOut) yield `-- Not in it: ${one.replaceAll(/\s+/g, ' ')}\n`
  yield '\\set QUIET on\n\\set ON_ERROR_STOP on\n\\encoding UTF8\nSET standard_conforming_strings = on;\nBEGIN;\nSET LOCAL search_path = pg_catalog;\nSET LOCAL client_min_messages = warning;\n'
  yield `${sql.trimEnd()}\n`
  yield '\\o /dev/null\n'
  const insert = insertOf(migrations)
  if (insert !== '') yield `${insert};\n`
  for (const one of migrations) yield* goOnBehind(one)
  yield '\\o\n'
  yield 'COMMIT;\n'
}

/** The tool's next row gets a number of its own. */
function* goOnBehind({ schema, table, columns }: Migrations): Generator<string> {
  const live = qualified({ schema, table })
  for (const column of columns) {
    const sequence = `pg_get_serial_sequence(${literal(live)}, ${literal(column)})`
    const last = literal(
      `SELECT setval(%1$L, max(%2$I)) FROM ONLY ${live.replaceAll('%', '%%')} HAVING max(%2$I) > 0`,
    )
    yield `SELECT format(${last}, ${sequence}, ${literal(column)}) WHERE ${sequence} IS NOT NULL \\gexec\n`
  }
}
