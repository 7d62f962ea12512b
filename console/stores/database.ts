import { counted, isolated } from '../numbers.ts'
import { shareOfTable } from './share-of-table.ts'
import type { CountedStore, PageStore, Share } from './store.ts'

export const database: PageStore<'database'> = {
  title: 'Database',
  name: 'the database',
  share,
  stays,
  proof:
    'the rows are read back, loaded into a scratch schema and compared, or only read back where the database is too large for that',
  meanwhile:
    'Rows that are written until the tables are locked for it go too; they are added to the backup first.',
}

/** Of all tables; when the answer does not hold all of them, of those that it holds. */
function share({ tables }: CountedStore['database'], isAbridged: boolean): Share {
  const shares = tables.map(shareOfTable)
  const sum = (pick: (share: Share) => number) => shares.reduce((total, share) => total + pick(share), 0)
  return {
    goes: sum(({ goes }) => goes),
    stays: sum(({ stays }) => stays),
    estimated: isAbridged || shares.some(({ estimated }) => estimated),
  }
}

function stays({ tables, unmanaged }: CountedStore['database']): string[] {
  const kept = tables.flatMap((table) => {
    const { stays: rows, estimated } = shareOfTable(table)
    const isWhole = table.action === 'kept'
    return rows > 0 || isWhole ? [`${counted(rows, 'row', estimated)} of ${isolated(table.name)}`] : []
  })
  return unmanaged.length > 0 ? [...kept, counted(unmanaged.length, 'unmanaged table')] : kept
}
