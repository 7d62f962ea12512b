import type { Backup } from '../../backup/read.ts'
import { type Selection, selectedStores } from '../../store/selection.ts'
import type { Asked, Change } from '../../store/words.ts'
import { type Target, targets } from '../../store.ts'
import { type ToldStores, words } from '../../stores/words.ts'
import type { ResetOptions } from '../options.ts'
import type { Request } from '../request.ts'

type Restore = Pick<Extract<Request, { operation: 'restore' }>, 'targets' | 'exact'> & Selection

/** The stores that the restore puts back. */
export function restoredStores(backup: Backup, request: Restore): Target[] {
  const asked: readonly Target[] = request.targets ?? selectedStores(request) ?? targets
  return targets.filter((target) => backup[target] !== null && asked.includes(target))
}

/**
 * Each table of the database and of the backup, and each other store, as far as the restore changes them.
 * @see docs/decisions.md#a-sentence-is-made-from-what-is-known
 */
export function nowAndAfter(options: ResetOptions, backup: Backup, request: Restore): Change[] {
  return restoredStores(backup, request).flatMap((target) => {
    const held = backup[target]
    return held === null ? [] : changesOf(target, { found: options[target], held, request })
  })
}

function changesOf<T extends Target>(
  target: T,
  {
    found,
    held,
    request,
  }: { found: Asked<ToldStores[T]['found']>; held: ToldStores[T]['held']; request: Restore },
): Change[] {
  const { parts, amount } = words[target]
  if (parts !== undefined) return parts.changes(found, held, request)
  const now = found.available ? amount(found) : `not known: ${found.reason.name}`
  const others = request.exact ? '' : ', and those that are not in the backup'
  return [{ what: target, now, after: `${amount(held)}${others}` }]
}

/**
 * What a person who confirms has to know of it: a restore is no reset, and preserves nothing.
 * @param stores those that are put back
 * @param preserves whether a reset would keep rows: only then a word of that is due
 */
export function whatRestoreMeans(
  stores: readonly Target[],
  { exact, preserves = true }: Pick<Restore, 'exact'> & { preserves?: boolean },
): string[] {
  const beside = putBeside(stores)
  return [
    ...stores.flatMap((target) => words[target].replaced?.(preserves) ?? []),
    ...(beside === ''
      ? []
      : [
          `${beside[0]?.toUpperCase()}${beside.slice(1)} of the backup replace those of the same name; those that are not in it ${exact ? 'are removed' : 'stay'}.`,
        ]),
  ]
}

/** What is put back in the place of what has the same name, and beside the rest: `files and cache keys`. */
export function putBeside(stores: readonly Target[]): string {
  return targets
    .filter((target) => stores.includes(target) && words[target].replaced === undefined)
    .map((target) => `${words[target].named}s`)
    .join(' and ')
}
