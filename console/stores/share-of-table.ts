import type { CountedStore, Share } from './store.ts'

type Table = CountedStore['database']['tables'][number]

export function shareOfTable({ rows, keptRows, action, estimated }: Table): Share {
  const stays = action === 'kept' || action === null ? (rows ?? 0) : keptRows
  return { goes: (rows ?? 0) - stays, stays, estimated }
}
