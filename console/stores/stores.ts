import { type Target, targets } from '../../lib/store.ts'
import { cache } from './cache.ts'
import { database } from './database.ts'
import { files } from './files.ts'
import type { PageStore } from './store.ts'

/** What the page knows of each store. */
export const stores: { [T in Target]: PageStore<T> } = { database, files, cache }

/** All of them in a sentence. */
export const allStores = new Intl.ListFormat('en-GB').format(targets.map((target) => stores[target].name))
