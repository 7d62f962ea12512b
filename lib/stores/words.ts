import { type CacheTold, cacheWords } from '../cache/words.ts'
import { type DatabaseTold, databaseWords } from '../database/words.ts'
import { type FilesTold, filesWords } from '../files/words.ts'
import type { Words } from '../store/words.ts'
import type { Target } from '../store.ts'

export type ToldStores = { database: DatabaseTold; files: FilesTold; cache: CacheTold }

/** Beside stores.ts and not in it, because the page has these words, and nothing of what reaches a store. */
export const words: { [T in Target]: Words<ToldStores[T]> } = {
  database: databaseWords,
  files: filesWords,
  cache: cacheWords,
}
