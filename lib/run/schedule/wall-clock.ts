import type { Day } from './days.ts'

/** What a clock on the wall shows. */
export type WallTime = Day & { hour: number; minute: number; second: number }

/** Such a clock in one time zone. */
export type WallClock = {
  shows(instant: Date): WallTime
  /** The first instant at which it shows that time; undefined where it is put forward past it. */
  instantOf(time: WallTime): Date | undefined
}

const dayMs = 86_400_000

export function wallClock(timeZone: string): WallClock {
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23' },
    ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  })
  const shows = (instant: Date): WallTime => {
    const parts = Object.fromEntries(
      format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]),
    )
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts
    return { year, month, day, hour, minute, second }
  }
  const offsetAt = (instant: number) => asUtc(shows(new Date(instant))) - Math.floor(instant / 1000) * 1000
  return {
    shows,
    instantOf(time) {
      const wanted = asUtc(time)
      // No zone changes twice within two days: one of the two offsets around it is the one that holds.
      const offsets = new Set([offsetAt(wanted - dayMs), offsetAt(wanted + dayMs)])
      const found = [...offsets]
        .map((offset) => wanted - offset)
        .filter((instant) => offsetAt(instant) === wanted - instant)
      return found.length === 0 ? undefined : new Date(Math.min(...found))
    },
  }
}

function asUtc({ year, month, day, hour, minute, second }: WallTime): number {
  return Date.UTC(year, month - 1, day, hour, minute, second)
}
