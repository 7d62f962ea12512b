import type { BackedUpTable } from '../../backup/sections/database.ts'
import { isOtherKind } from '../catalog/schema-differences.ts'
import type { Table } from '../catalog/table.ts'

/** Columns that came later are no obstacle: the rows are compared by those that the backup has. */
export function obstacleOf({ columns }: BackedUpTable, live: Table): string | undefined {
  if (live.partitioned) return 'it is partitioned now, and was not'
  const now = new Map(live.columns.map((column) => [column.name, column]))
  for (const { name, type, asText } of columns) {
    const column = now.get(name)
    if (column === undefined) return `its column ${name} is no longer there`
    if (column.type !== type) return `its column ${name} was ${type} and is ${column.type} now`
    if (isOtherKind({ type, asText }, column))
      return `the type ${type} of its column ${name} is another one now`
  }
  return undefined
}

/** The same of two backups, whose hashes are of all the columns that they have. */
export function obstacleBetween(then: BackedUpTable, now: BackedUpTable): string | undefined {
  const texts = [then, now].map(({ columns }) =>
    JSON.stringify(columns.map(({ name, type, asText }) => [name, type, asText])),
  )
  return texts[0] === texts[1] ? undefined : 'its columns are not the same in the two backups'
}
