import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { changedBy } from '../../lib/run/words/next-steps.ts'
import { hasRedis } from '../support/needs.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { functionsWith, invocationsAtWork } from './at-work.ts'
import { changesBetween, changesOf, columns, dice, fillDemo, type Look, liveDay, look } from './demo.ts'
import { environment, useResetStack, withVariables } from './reset-stack.ts'

const days = 30
const dayMs = 86_400_000
const minute = 60_000

/** The nights that fail, and where: before or after one call of a function. */
const faults: Record<number, string> = {
  3: 'before seal',
  8: 'after load',
  14: 'before restore database',
  18: 'after restore database',
  26: 'before restore cache',
}

const atWork = invocationsAtWork()
let fault: string | undefined
const reset = useResetStack({
  loadFunctions: () =>
    functionsWith((when) => {
      if (when === fault) throw Object.assign(new Error('injected'), { name: 'Crashed' })
    }, atWork),
})

// The clock of the machine and of its functions; the servers have their own.
beforeAll(() => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - (days + 1) * dayMs }))
afterAll(() => vi.useRealTimers())

const toBaseline = { operation: 'reset', strategy: 'full', to: 'baseline', confirm: environment } as const

/** Runs it a minute later than what was before. */
async function later<Result>(use: () => Promise<Result>, milliseconds = minute): Promise<Result> {
  vi.setSystemTime(Date.now() + milliseconds)
  return use()
}
const succeed = (request: object) => later(() => reset.succeed(request))

test.runIf(isFull && hasRedis)(
  `a demo lives for thirty days: each morning it is the baseline, each night's backup is the day, and a night that fails loses nothing of it ${inFullForm}`,
  () => withVariables({ RETENTION_LAST: '4' }, liveThirtyDays),
)

async function liveThirtyDays(): Promise<void> {
  const counts = { nights: 0, failed: 0, restored: 0, compared: 0, refused: 0 }
  const by = dice(13)
  let of = columns
  let setAt = performance.now()
  await fillDemo(reset)
  await succeed({ operation: 'claim', confirm: environment })
  const renew = { operation: 'backup', label: 'baseline', pin: true, rehearse: true }
  let baseline = await succeed(renew)
  /** Milliseconds of a session's hour that may have been over when the baseline was taken. */
  let used = performance.now() - setAt
  let filled = await look(reset, of)
  let last: { backupId: string; day: Look } | null = null

  for (let day = 1; day <= days; day++) {
    vi.setSystemTime(Date.now() + dayMs - 10 * minute)
    await liveDay(reset, day, by)
    if (day === 11) await reset.stack.sql.query('ALTER TABLE people ADD COLUMN age int')
    if (day === 20) {
      await reset.stack.sql.query('ALTER TABLE people DROP COLUMN legacy')
      setAt = performance.now()
      await reset.stack.redis.set('session:anna', 'in again', 'PX', 3_600_000)
      of = { ...columns, people: ['id', 'name', 'likes'] }
      const evening = await look(reset, of)
      const hourly = await succeed({ operation: 'backup', rehearse: false })
      expect(hourly.warnings.map(({ code }) => code)).toContain('BaselineOutdated')
      const refused = await later(() => reset.run(toBaseline))
      expect(refused).toMatchObject({ status: 'FAILED', error: 'SchemaChanged' })
      expect(await look(reset, of), 'a refused night touches nothing').toEqual(evening)
      counts.refused++
      baseline = await succeed(renew)
      used = performance.now() - setAt
      filled = evening
      last = null
      continue
    }
    const lived = await look(reset, of)
    expect(lived).not.toEqual(filled)

    const where = faults[day]
    if (where !== undefined) {
      fault = where
      const { name, status } = await later(() => reset.run(toBaseline))
      await atWork.settled()
      fault = undefined
      expect([day, status]).toEqual([day, 'FAILED'])
      const outcome = Outcome.parse((await reset.row(name)).outcome)
      if (changedBy(outcome).length > 0)
        await succeed({ operation: 'restore', backupId: outcome.backupId, exact: true, confirm: environment })
      expect(await look(reset, of), `what night ${day} left, with its backup, is the day`).toEqual(lived)
      counts.failed++
    }

    const begun = performance.now()
    const night = await succeed({ ...toBaseline, rehearse: day % 5 === 0 })
    expect(night).toMatchObject({
      operation: 'reset-to',
      to: { name: 'baseline', backupId: baseline.backupId },
    })
    expect(await look(reset, of), `the morning after day ${day}`).toEqual(filled)
    const left = await reset.stack.redis.pttl('session:anna')
    const least = 3_600_000 - used - (performance.now() - begun)
    expect(left, 'a session lives as long as it had when the baseline was taken').toBeGreaterThan(least - 10)
    counts.nights++

    const backupId = night.backupId ?? ''
    if (last !== null && day !== 11) {
      const { difference } = await succeed({ operation: 'diff', backupId: last.backupId, to: backupId })
      const told = new Map(difference?.database?.tables.map((table) => [table.name, table]))
      for (const { name, ...changes } of changesBetween(last.day, lived))
        expect(told.get(name) ?? { extra: 0, missing: 0, changed: 0 }, `${name} of day ${day}`).toMatchObject(
          changes,
        )
      const inFiles = changesOf(last.day.files, lived.files)
      expect(difference?.files, `files of day ${day}`).toMatchObject(inFiles)
      const { changed, ...inCache } = changesOf(last.day.keys, lived.keys)
      const cache = { expired: 0, uncompared: 0, ...inCache }
      expect(difference?.cache, `keys of day ${day}`).toMatchObject(cache)
      // When a session ends moves with the baseline, though nobody has changed it.
      expect([changed, changed + 1], `changed keys of day ${day}`).toContain(difference?.cache?.changed)
      counts.compared++
    }
    if (day % 6 === 0) {
      await succeed({ operation: 'restore', backupId, exact: true, confirm: environment })
      expect(await look(reset, of), `day ${day} from its backup`).toEqual(lived)
      counts.restored++
    }
    last = { backupId, day: lived }
  }
  tried('thirty days of a demo', counts)
  expect(counts).toEqual({ nights: 29, failed: 5, restored: 5, compared: 26, refused: 1 })
  // All else was pruned: of each kind stay the last four, the newest rehearsed one, and both baselines, which were pinned.
  const sealed = await reset.sealed()
  expect(sealed).toContain(baseline.backupId)
  expect(sealed.length).toBeLessThanOrEqual(12)
}
