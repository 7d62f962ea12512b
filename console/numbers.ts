/** Numbers and times as people read them. */

const grouped = new Intl.NumberFormat('en')
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1,234`; `about 1,234` when it is an estimate. */
export function number(value: number, estimated = false): string {
  return `${estimated ? 'about ' : ''}${grouped.format(value)}`
}

/** `1 row`, `2 rows`, `about 1,234 rows`. */
export function counted(value: number, one: string, estimated = false): string {
  return `${number(value, estimated)} ${one}${value === 1 ? '' : 's'}`
}

/** `5,390 rows, 120 files, 300 keys`, of those that are counted at all. */
export function listed(
  counts: { rows: number | null; files: number | null; keys: number | null },
  estimated = false,
): string {
  const { rows, files, keys } = counts
  return [
    rows === null ? [] : counted(rows, 'row', estimated),
    files === null ? [] : counted(files, 'file', estimated),
    keys === null ? [] : counted(keys, 'key', estimated),
  ]
    .flat()
    .join(', ')
}

export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${units[power]}`
}

/** How long ago: `just now`, `5 minutes ago`, `3 days ago`. */
export function ago(now: Date, since: string): string {
  const minutes = Math.floor((now.getTime() - Date.parse(since)) / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 120) return `${counted(minutes, 'minute')} ago`
  if (minutes < 2880) return `${counted(Math.floor(minutes / 60), 'hour')} ago`
  return `${counted(Math.floor(minutes / 1440), 'day')} ago`
}

/** `8.4 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const dateAndTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
const timeOnly = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

/** `22 Nov 2026, 19:05`, where the reader is. */
export function dateOf(time: string): string {
  return dateAndTime.format(new Date(time))
}

/** `19:05:33`, where the reader is. */
export function clock(time: Date): string {
  return timeOnly.format(time)
}
