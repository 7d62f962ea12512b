import type { CountedStore, PageStore, Share } from './store.ts'
import { preserved } from './what-stays.ts'

export const cache: PageStore<'cache'> = {
  title: 'Cache',
  name: 'the cache',
  share,
  stays: (found) => preserved(share(found), 'key'),
  place: ({ prefix }) => (prefix === '*' ? { says: 'the whole Redis database' } : { address: `${prefix}…` }),
  proof: 'what is written of the keys is read back',
  meanwhile:
    'Keys that change before they are deleted are added to the backup first; one that is written again later stays.',
}

function share({ keys, preservedKeys: stays, approximate: estimated }: CountedStore['cache']): Share {
  return { goes: keys - stays, stays, estimated }
}
