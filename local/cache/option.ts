import { counted } from '../../lib/amounts.ts'
import type { CacheOption } from '../../lib/cache/schema/option.ts'
import { table } from '../cli/show/table.ts'

export function showCacheOption(cache: CacheOption): string {
  return [
    table([[cache.prefix === '*' ? 'all keys' : `keys ${cache.prefix}…`, counted(cache.keys, 'key')]]),
    cache.preservedKeys === 0 ? '' : `  of them kept: ${counted(cache.preservedKeys, 'key')}\n`,
    ...cache.unmatched.map((pattern) => `  to be kept, but no key matches it: ${pattern}\n`),
  ].join('')
}
