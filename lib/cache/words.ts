import { counted, enumeration } from '../amounts.ts'
import type { Manifest } from '../backup/manifest.ts'
import type { Words } from '../store/words.ts'
import type { CacheDifference } from './schema/difference.ts'
import type { CacheOption } from './schema/option.ts'
import type { CacheBack, CacheWould } from './schema/plan-answer.ts'

export type CacheTold = {
  amount: { keys: number }
  found: CacheOption
  held: NonNullable<Manifest['cache']>
  would: CacheWould
  difference: CacheDifference
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
  differs: ({ before, now, extra, missing, changed, uncompared }, { exact }) => {
    const does = [
      ...(missing > 0 ? [`bring back ${counted(missing, 'key')}`] : []),
      // Who has just gone back to a backup with relative times to live is told of a change in each key that has one.
      ...(changed > 0
        ? [`change back ${counted(changed, 'key')} (another time to live counts as a change)`]
        : []),
      ...(extra > 0
        ? [`${exact ? 'remove' : 'leave'} ${counted(extra, 'key')} that the backup has not`]
        : []),
      ...(uncompared > 0 ? [`write ${counted(uncompared, 'key')} that could not be compared`] : []),
    ]
    if (does.length === 0) return []
    const restore = `would ${enumeration(does, 'and')}`
    return [{ what: 'cache', before: counted(before, 'key'), now: counted(now, 'key'), restore }]
  },
  kept: ({ preservedKeys }) => ({ keys: preservedKeys }),
  back: ({ keys }) => keys,
}
