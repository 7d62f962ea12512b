import { utc } from '../../amounts.ts'

/** A sealed backup, as far as its retention goes. */
export type Candidate = {
  backupId: string
  /** What the backup holds. */
  strategy: string
  /** It was uploaded: it is older than its seal, and proves nothing of what was there then. */
  isImported?: boolean
  /** By a key of this environment; what is not, anybody who can write to the bucket may have put there. */
  isSigned: boolean
  /** It is signed, and of a run that this ledger does not know: of another database, or of a time that this one has left. */
  isUnknown?: boolean
  /** ISO 8601. */
  sealedAt: string
  rehearsedAt: string | null
  /** It warns that something of a restore is not proved, also when it was rehearsed. */
  unproved: boolean
  pinned: boolean
  /** What it is called; absent: nothing. */
  labels?: readonly string[]
  /** An active run needs it. */
  running: boolean
}

type Dated = Pick<Candidate, 'backupId' | 'sealedAt'>

/** How many to keep, each from the newest on. A limit that is missing, or is no positive integer, is not set. */
export type Policy = {
  last?: number | undefined
  daily?: number | undefined
  weekly?: number | undefined
}

/** `reasons`: every one for keeping it, or else why no limit keeps it. */
export type Decision = { backupId: string; keep: boolean; reasons: string[] }

const dayMs = 24 * 60 * 60 * 1000

/**
 * Which sealed backups stay, the newest first. The newest, the newest rehearsed one, the newest rehearsed one of which
 * nothing is left to prove (a restore may refuse the other after all), pinned and labelled ones and those of active runs always do. `last` keeps that many; `daily` the newest of each day, and `weekly` the newest of each ISO week, for so many
 * days and weeks (UTC) that have a backup: when nothing was backed up for a month, nothing goes for that.
 * Each strategy is judged by itself: an hourly backup of the cache must not take the places of nightly full ones; and what is
 * signed as if nothing else were there, and so what runs of this ledger have taken; what others have stays. Without any limit everything stays. A backup that says it was sealed more than a day from now is kept and takes
 * nobody's place.
 * @see docs/decisions.md#each-strategy-has-its-own-retention
 * @see docs/decisions.md#what-is-not-signed-takes-the-place-of-nothing-that-is
 * @see docs/decisions.md#a-prune-lets-go-what-runs-of-its-own-ledger-have-taken
 */
export function decideRetention(backups: readonly Candidate[], policy: Policy, now: Date): Decision[] {
  const decisions = new Map(
    contestsOf(backups)
      .flatMap((contest) => decideAlike(contest, policy, now))
      .map((decision) => [decision.backupId, decision]),
  )
  return newestFirst(backups).flatMap(({ backupId }) => decisions.get(backupId) ?? [])
}

/**
 * Why a backup must not go, whatever the limits or a person say: pinned, labelled, needed by an active run, the newest and the
 * newest rehearsed one of its strategy, and the newest rehearsed one without the warning NotProved. No entry: nothing
 * protects it.
 */
export function protectionsOf(backups: readonly Candidate[], now: Date): Map<string, string[]> {
  const found = new Map(contestsOf(backups).flatMap((contest) => [...protectionsAlike(contest, now)]))
  return new Map([...found].filter(([, reasons]) => reasons.length > 0))
}

/** Backups that take each other's places, the newest first, and what they are called together. */
type Contest = { kind: string; backups: readonly Candidate[] }

/**
 * Of each strategy all, behind them those that are signed, and of these those of runs that the ledger knows: what is said of one
 * last is what counts. What was uploaded takes the place of nothing that a run has taken.
 */
function contestsOf(backups: readonly Candidate[]): Contest[] {
  const kindOf = ({ strategy, isImported }: Candidate) => (isImported ? `imported ${strategy}` : strategy)
  return [...Map.groupBy(backups, kindOf)].flatMap(([kind, group]) => {
    const all = newestFirst(group)
    const signed = all.filter(({ isSigned }) => isSigned)
    const own = signed.filter(({ isUnknown }) => isUnknown !== true)
    return [
      { kind, backups: all },
      ...(signed.length === all.length ? [] : [{ kind: `signed ${kind}`, backups: signed }]),
      ...(own.length === signed.length ? [] : [{ kind: `own ${kind}`, backups: own }]),
    ]
  })
}

function protectionsAlike({ kind, backups }: Contest, now: Date): Map<string, string[]> {
  const past = backups.filter((backup) => !isNotYet(backup, now))
  const rehearsed = past.filter(({ rehearsedAt }) => rehearsedAt !== null)
  const newestProved = rehearsed.find(({ unproved }) => !unproved)
  return new Map(
    backups.map((backup) => {
      const reasons: string[] = []
      if (backup.pinned) reasons.push('pinned')
      for (const label of backup.labels ?? []) reasons.push(labelled(label))
      if (backup.running) reasons.push('an active run needs it')
      if (isNotYet(backup, now))
        reasons.push(`sealed at ${utc(backup.sealedAt)}, which is not yet: kept, and not counted`)
      if (backup.isImported) return [backup.backupId, reasons] // nothing else depends on it
      if (backup === past[0]) reasons.push(`the newest ${kind} backup`)
      if (backup === rehearsed[0]) reasons.push(`the newest rehearsed ${kind} backup`)
      else if (backup === newestProved)
        reasons.push(`the newest rehearsed ${kind} backup without the warning NotProved`)
      return [backup.backupId, reasons]
    }),
  )
}

function decideAlike(contest: Contest, policy: Policy, now: Date): Decision[] {
  const { kind, backups } = contest
  const last = asLimit(policy.last)
  const daily = asLimit(policy.daily)
  const weekly = asLimit(policy.weekly)
  const isUnlimited = last === null && daily === null && weekly === null
  const protections = protectionsAlike(contest, now)
  const days = new Periods(kind, dayOf, daily)
  const weeks = new Periods(kind, weekOf, weekly)
  let counted = 0

  return backups.map((backup) => {
    const keeps = [...(protections.get(backup.backupId) ?? [])]
    const drops: string[] = []
    if (isUnlimited) keeps.push('no retention is set')
    if (backup.isUnknown) keeps.push(unknown)
    if (isNotYet(backup, now)) return { backupId: backup.backupId, keep: true, reasons: keeps }
    counted++
    if (last !== null) {
      if (counted <= last) keeps.push(`number ${counted} of the last ${last} (${kind})`)
      else drops.push(`not among the last ${last} (${kind})`)
    }
    days.judge(backup, { keeps, drops })
    weeks.judge(backup, { keeps, drops })
    const keep = keeps.length > 0
    return { backupId: backup.backupId, keep, reasons: keep ? keeps : drops }
  })
}

/** How a label is told that protects its backup. */
export function labelled(label: string): string {
  return `labelled "${label}"`
}

const unknown =
  'of a run that is not in this ledger: the database was brought back to an earlier moment, or is a copy of another that backs up here as well. It takes no place; delete it by hand'

/** Counts days or weeks that have a backup; backups must come newest first. */
class Periods {
  readonly #kind: string
  readonly #nameOf: (time: number) => string
  readonly #limit: number | null
  #current: string | undefined
  #count = 0

  constructor(kind: string, nameOf: (time: number) => string, limit: number | null) {
    this.#kind = kind
    this.#nameOf = nameOf
    this.#limit = limit
  }

  judge(backup: Candidate, { keeps, drops }: { keeps: string[]; drops: string[] }): void {
    if (this.#limit === null) return
    const kind = this.#kind
    const name = this.#nameOf(timeOf(backup))
    const isNewest = name !== this.#current
    if (isNewest) this.#count++
    this.#current = name
    if (this.#count > this.#limit)
      drops.push(`${name} is not among the last ${this.#limit} with a ${kind} backup`)
    else if (isNewest) keeps.push(`the newest ${kind} backup of ${name}, ${this.#count} of ${this.#limit}`)
    else drops.push(`not the newest ${kind} backup of ${name}`)
  }
}

/** By the time itself: an id has only its run's second. What is no time comes first. */
export function newestFirst<Backup extends Dated>(backups: readonly Backup[]): Backup[] {
  const order = (backup: Backup) => {
    const time = timeOf(backup)
    return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
  }
  return backups.toSorted((a, b) => compare(order(b), order(a)) || compare(b.backupId, a.backupId))
}

function compare<Value extends number | string>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** More than a day from now, or no time at all. */
function isNotYet(backup: Candidate, now: Date): boolean {
  return !(timeOf(backup) <= now.getTime() + dayMs)
}

/** NaN when it is no time. */
function timeOf({ sealedAt }: Dated): number {
  return new Date(sealedAt).getTime()
}

/** Zero backups can be nobody's wish: a limit that is empty, or went wrong on its way, must not be read as that. */
function asLimit(limit: number | undefined): number | null {
  return limit !== undefined && Number.isInteger(limit) && limit > 0 ? limit : null
}

function dayOf(time: number): string {
  return `the day ${new Date(time).toISOString().slice(0, 10)}`
}

/** ISO 8601: weeks begin on Monday and belong to the year of their Thursday. */
function weekOf(time: number): string {
  const weekday = (new Date(time).getUTCDay() + 6) % 7
  const thursday = new Date(time + (3 - weekday) * dayMs)
  const year = thursday.getUTCFullYear()
  const dayOfYear = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / dayMs)
  return `the week ${year}-W${String(Math.floor(dayOfYear / 7) + 1).padStart(2, '0')}`
}
