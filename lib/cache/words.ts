import { counted } from '../amounts.ts'
import type { Manifest } from '../backup/manifest.ts'
import type { Words } from '../store/words.ts'
import type { CacheOption } from './schema/option.ts'
import type { CacheBack, CacheWould } from './schema/plan-answer.ts'

export type CacheTold = {
  amount: { keys: number }
  found: CacheOption
  held: NonNullable<Manifest['cache']>
  would: CacheWould
  back: CacheBack
}

export const cacheWords: Words<CacheTold> = {
  unit: 'key',
  named: 'cache key',
  total: 'keys',
  count: ({ keys }) => keys,
  nothing: { keys: 0 },
  backedUpIn: 'Export cache',
  amount: ({ keys }) => counted(keys, 'key'),
  kept: ({ preservedKeys }) => ({ keys: preservedKeys }),
  back: ({ keys }) => keys,
}
