import type { Backup } from '../../../lib/backup/read.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import type { LoadedTable } from './load-sql.ts'
import { linesOfTable } from './tables.ts'

/**
 * All rows as one JSON document, as the ResetService of before wrote it. Columns that are `asText` are strings in it, numbers stand
 * as Postgres writes them. Memory: some chunks.
 * @throws BackupDamaged
 */
export async function* documentOf(
  bucket: Bucket,
  { startedAt, environment }: Backup,
  tables: readonly LoadedTable[],
): AsyncGenerator<Buffer | string> {
  const counts = Object.fromEntries(tables.map(({ table }) => [table.name, table.rows]))
  yield `{"timestamp":${JSON.stringify(startedAt)},"environment":${JSON.stringify(environment)},"counts":${JSON.stringify(counts)},"data":{`
  for (const [at, { table }] of tables.entries()) {
    yield `${at === 0 ? '' : ','}${JSON.stringify(table.name)}:[`
    yield* separated(linesOfTable(bucket, table))
    yield ']'
  }
  yield '}}\n'
}

/** Lines as the elements of an array: a line end within one is always escaped. */
async function* separated(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer | string> {
  let isFirst = true
  let isAtEnd = true
  for await (const chunk of chunks) {
    const isWhole = chunk.at(-1) === 0x0a
    const lines = isWhole ? chunk.subarray(0, -1) : chunk
    if (isAtEnd && !isFirst) yield ','
    yield Buffer.from(lines.toString('latin1').replaceAll('\n', ',\n'), 'latin1') // byte by byte
    isFirst = false
    isAtEnd = isWhole
  }
}
