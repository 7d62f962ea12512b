import { bytes, counted, number } from '../../amounts.ts'
import { checkShape, documentBounds, TooMuch } from '../../backup/documents/json.ts'
import { backupKeys } from '../../backup/layout.ts'
import { pagesInRange } from '../../backup/ranges/range.ts'
import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'
import { definitionLimits } from '../../backup/sections/definition.ts'
import { LimitExceeded } from '../../errors.ts'
import type { Shard } from '../parts/shards.ts'
import type { TableActions } from './actions/table-actions.ts'

/**
 * What the manifest will say of tables and parts has to stay within what readers take: else the backup would be made to its
 * end, and could not be sealed.
 * @throws LimitExceeded
 */
export function checkManifestSize(
  { tables }: Pick<TableActions, 'tables'>,
  shards: readonly Shard[],
  prefix: string,
): void {
  const keys = backupKeys(prefix, anyId)
  const partsOf = Map.groupBy(shards, ({ name }) => name)
  const section = tables
    .filter(({ table }) => !table.partitioned)
    .map(({ table: { name, schema, table, oid, columns } }): BackedUpTable => {
      const parts = (partsOf.get(name) ?? []).map((shard) => longestPart(shard, keys.tablePart))
      const sums = { rows: mostRows, fingerprint: longFingerprint, provedUnder: anySha256 }
      return { ...{ name, schema, table, oid, columns }, ...sums, parts }
    })
  const text = JSON.stringify(section)
  const size = Buffer.byteLength(text) + longestDefinition
  try {
    if (size > documentBounds.bytes) throw new TooMuch('')
    checkShape(text, documentBounds)
  } catch (cause) {
    if (!(cause instanceof TooMuch)) throw cause
    throw new LimitExceeded(
      `The backup's manifest would have about ${bytes(size)} for ${counted(section.length, 'table')} in ${counted(shards.length, 'part')}, and one of more than ${bytes(documentBounds.bytes)}, or ${number(documentBounds.values)} values, is not read. Nothing was touched; leave tables out (EXCLUDE_TABLES), or manage fewer schemas in one environment (DATABASE_SCHEMAS)`,
      { cause },
    )
  }
}

/** Of what is told of how the tables are made: in JSON a quotation mark has two bytes. */
const longestDefinition = 2 * (definitionLimits.sql + definitionLimits.migrations)
/** As long as any. */
const anyId = '2026-11-22T19-05-33Z-3f9a2c'
const mostRows = 10 ** 9
const longFingerprint = String(-(2n ** 63n))
const anySha256 = '0'.repeat(64)

function longestPart(
  { name, shard, pages }: Shard,
  keyOf: (table: string, shard: number, copy: number) => string,
): TablePart {
  return {
    ...{ shard, pages, rows: mostRows, fingerprint: longFingerprint, key: keyOf(name, shard, 1) },
    ...{ bytes: 2 ** 30, sha256: anySha256, plain: 2 ** 30, longest: 2 ** 30 },
    ranges: { pages: pagesInRange, count: 512, bytes: 2 ** 30, sha256: anySha256 },
    provedAt: new Date(0).toISOString(),
  }
}
