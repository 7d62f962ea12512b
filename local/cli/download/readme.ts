import { counted, utc } from '../../../lib/amounts.ts'
import type { Backup } from '../../../lib/backup/read.ts'

/** What lies in the folder of a download, for who finds it. */
export function readmeOf(
  { backupId, environment, startedAt, database, files, cache, authentic }: Backup,
  { hasSchema }: { hasSchema: boolean },
): string {
  const sections = [
    `The backup ${backupId} of the environment "${environment}", begun ${utc(startedAt)}, as taskmaster-reset brought it here.\nIt holds data of that environment: keep it as you keep that.`,
    ...(authentic === 'signed'
      ? []
      : [
          'Nobody known signed it. Read load.sql before psql carries it out: its names come from the backup.',
        ]),
    `manifest.json, late-<n>.json\n  What the backup consists of, with digests and signature (docs/formats.md of the project).`,
    ...(database === null ? [] : [ofDatabase(database.tables.length, hasSchema)]),
    ...(files === null
      ? []
      : [
          `files/, files.jsonl\n  ${counted(files.objects, 'file')} below ${files.prefix === '' ? 'the bucket' : files.prefix}. files.jsonl has each key with its path here: in a path, what a file\n  system could read otherwise is written as % and two hexadecimal digits.`,
        ]),
    ...(cache === null
      ? []
      : [
          `cache.jsonl\n  ${counted(cache.keys, 'key')}, one on a line: key, type, value, expiresAt (milliseconds since 1970, or null). A long value goes on\n  in the lines behind it ("part"). Text that is no UTF-8 stands as {"base64": …}.`,
        ]),
  ]
  return `${sections.join('\n\n')}\n`
}

function ofDatabase(tables: number, hasSchema: boolean): string {
  const schema = hasSchema
    ? `schema.sql makes the tables in an empty database, as far as it tells (its first lines say what it does not):\n  migrations of the application do that better.`
    : 'The backup does not say how the tables are made: let the migrations of the application do that.'
  return `database/, load.sql${hasSchema ? ', schema.sql' : ''}
  The rows of ${counted(tables, 'table')}, one JSON object on a line. ${schema}
  With the tables there, and empty, and as a role that owns them, psql alone puts the rows back, in this folder:

    psql -X "$DATABASE_URL" -f load.sql

  All is one transaction; foreign keys, triggers and rules are off meanwhile. At its end it says of each table whether its rows
  are those of the backup. Materialized views are yours to refresh then.`
}
