/** Numbers and times as people read them, in every message and on the terminal. */

/** `1,234,567`. Intl would do it too, but takes 25 ms at its first use, in every process that says a number. */
export function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `a, b and c`. Intl has that as well, for another 12 ms. */
export function enumeration(items: readonly string[], word: 'and' | 'or'): string {
  const [last = '', ...others] = items.toReversed()
  return others.length === 0 ? last : `${others.toReversed().join(', ')} ${word} ${last}`
}

/** `1 row`, `2 rows`; `irregular` for what has another plural. */
export function counted(value: number, one: string, irregular = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : irregular}`
}

/** The form of a verb or a pronoun that goes with so many: `agreeing(1, 'was', 'were')`. */
export function agreeing(value: number, one: string, many: string): string {
  return value === 1 ? one : many
}

/** `512 B`, `1.5 MiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${units[power]}`
}

/**
 * `2026-11-22 19:05:33 UTC`: the zone in which the ids of backups are, too. What is no time is told as it stands.
 * @see docs/decisions.md#the-page-tells-every-time-in-utc
 */
export function utc(time: Date | string): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return String(time)
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
