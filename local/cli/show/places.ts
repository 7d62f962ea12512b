import type { Where } from '../../../lib/config/places.ts'
import type { Request } from '../../../lib/run/request.ts'
import { scopeOf } from '../../../lib/run/strategy.ts'
import { targets } from '../../../lib/store.ts'
import { table } from './table.ts'

/** Where that is which the request changes: the name of an environment alone can be set by mistake. */
export function showPlaces(where: Where, request: Request): string {
  const stores = storesOf(request).map((store) => [store, where[store]])
  return `\nIt is about:\n${table([...stores, ['backups', where.backups]])}\n`
}

function storesOf(request: Request) {
  if (request.operation === 'delete') return []
  if (request.operation === 'restore') return request.targets ?? targets
  return 'strategy' in request ? scopeOf(request.strategy).clears : targets
}
