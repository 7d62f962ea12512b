import type { Target } from '../lib/store.ts'
import { type CacheShape, cache } from './cache/store.ts'
import { type DatabaseShape, database } from './database/store.ts'
import { type FilesShape, files } from './files/store.ts'
import type { LocalStore } from './store.ts'

export type Shapes = { database: DatabaseShape; cache: CacheShape; files: FilesShape }

/** What each store answers on one machine, in the order in which a stack names them. */
export const stores: { [T in Target]: LocalStore<Shapes[T]> } = { database, cache, files }

/** The stores by name, in the same order. */
export const storeNames = Object.keys(stores) as Target[]
