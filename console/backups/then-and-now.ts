import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import type { Options } from '../../lib/http/answers/options.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import type { Target } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { counted, number } from '../numbers.ts'
import { foundIn, shareOf } from '../overview/shares.ts'
import type { BarsLine, Side } from '../page/bars.tsx'
import { stores } from '../stores/stores.ts'

/** Lines of one dialog at most: what differs comes first. */
const shown = 12

export type Lines = {
  lines: BarsLine[]
  /** What the lines do not tell, in a sentence; null: they tell all. */
  rest: string | null
  /** Whether rows, files and keys themselves were compared, or only how many there are. */
  isCompared: boolean
}

type Difference = NonNullable<Outcome['difference']>

/** What a backup holds beside what is there now, table by table and store by store. */
export function thenAndNow(
  backup: BackupDetails,
  options: Options | undefined,
  { chosen, exact, difference }: { chosen: readonly Target[]; exact: boolean; difference: Difference | null },
): Lines {
  const asked = { exact, difference }
  const tables = chosen.includes('database') ? tableLines(backup, options, asked) : []
  const others = chosen
    .filter((target) => words[target].parts === undefined)
    .map((target) => storeLine(target, backup, options, asked))
  const different = tables.filter(({ isSame }) => !isSame)
  const first = [...different, ...tables.filter(({ isSame }) => isSame)].slice(0, shown)
  const left = tables.length - first.length
  const unequal = different.length - Math.min(different.length, shown)
  const says = unequal > 0 ? `${number(unequal)} of which differ` : 'which do not differ'
  return {
    lines: [...first.map(({ line }) => line), ...others],
    rest: left === 0 ? null : `And ${counted(left, 'more table')}, ${says}.`,
    isCompared: difference !== null,
  }
}

type Asked = { exact: boolean; difference: Difference | null }

function tableLines(
  backup: BackupDetails,
  options: Options | undefined,
  { exact, difference }: Asked,
): { line: BarsLine; isSame: boolean }[] {
  const found = options && foundIn(options, 'database')
  const live = new Map(found?.tables.map((table) => [table.name, table]))
  const compared = new Map(difference?.database?.tables.map((table) => [table.name, table]))
  const told = new Map(
    difference?.database == null
      ? []
      : words.database.differs(difference.database, { exact }).map(({ what, restore }) => [what, restore]),
  )
  const held = new Map(backup.tables.map(({ name, rows }) => [name, rows]))
  return [...new Set([...held.keys(), ...live.keys()])].map((name) => {
    const then = held.get(name)
    const now = live.get(name)
    const exactly = compared.get(name)
    const from = side(then, 'row', false, 'none')
    const nowRows = exactly === undefined ? now?.rows : exactly.now
    const to = found
      ? side(nowRows, 'row', exactly === undefined && now?.estimated === true, now ? 'not readable' : 'none')
      : uncounted(options)
    const byCount = found ? countsSay(then, now === undefined ? undefined : (now.rows ?? null), 'row') : null
    const becomes = told.get(name) ?? (difference?.database ? 'is as it was' : (byCount?.says ?? ''))
    const isSame = difference?.database ? exactly === undefined : (byCount?.isSame ?? false)
    const line = { what: name.replace(/^public\./, ''), label: now?.label ?? null, from, to, becomes }
    return { line, isSame }
  })
}

function storeLine(
  target: Target,
  backup: BackupDetails,
  options: Options | undefined,
  asked: Asked,
): BarsLine {
  const one = words[target].unit
  const share = options && shareOf(options, target)
  const now = share ? share.goes + share.stays : null
  const then = backup[words[target].total] ?? 0
  const told = toldOf(target, asked)
  const from = side(then, one, false, 'none')
  const to = share ? side(now, one, share.estimated, 'none') : uncounted(options)
  return { what: stores[target].title, from, to, becomes: told ?? countsSay(then, now, one)?.says ?? '' }
}

function toldOf<T extends Target>(target: T, { exact, difference }: Asked): string | null {
  const found = difference?.[target]
  if (!found) return null
  return words[target].differs(found as never, { exact })[0]?.restore ?? 'is as it was'
}

/** Of a store that is being counted, or cannot be. */
const uncounted = (options: Options | undefined): Side => ({
  says: options === undefined ? 'counting …' : 'not counted',
  goes: null,
})

function side(count: number | null | undefined, one: string, estimated: boolean, otherwise: string): Side {
  if (count === null || count === undefined) return { says: otherwise, goes: null }
  return { says: counted(count, one, estimated), goes: count }
}

/** What the counts alone say: as many may be others. Undefined: there is no such thing now. */
function countsSay(
  then: number | undefined,
  now: number | null | undefined,
  one: string,
): { says: string; isSame: boolean } | null {
  if (now === null) return null
  if (then === undefined) return { says: 'not in the backup', isSame: false }
  if (now === undefined) return { says: 'is not there now', isSame: false }
  if (then === now) return { says: 'as many', isSame: true }
  const more = counted(Math.abs(now - then), one).replace(' ', now > then ? ' more ' : ' fewer ')
  return { says: `${more} now`, isSame: false }
}
