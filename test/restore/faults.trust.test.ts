import { beforeAll, beforeEach, expect, it } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { loadFunctions } from '../../local/functions.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { invocationsAtWork } from '../e2e/at-work.ts'
import { environment, filesPrefix, useResetStack } from '../e2e/reset-stack.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'

/** Told of each function before and after it is done, but for those that end a run. */
let fault: (when: 'before' | 'after', name: string) => void = () => {}
const atWork = invocationsAtWork()
const reset = useResetStack({
  loadFunctions: async () => {
    const functions = Object.entries(await loadFunctions())
    return Object.fromEntries(functions.map(([name, handler]) => [name, faulty(name, handler)]))
  },
})

function faulty(name: string, handler: Handler): Handler {
  return atWork.watch(async (event, context) => {
    if (name === 'finish' || name === 'prune') return handler(event, context)
    fault('before', name)
    const answer = await handler(event, context)
    fault('after', name)
    return answer
  })
}

type Print = Awaited<ReturnType<typeof reset.fingerprint>>
let backupId: string | null
let before: Print
let changed: Print

async function change(): Promise<void> {
  await reset.stack.sql.query(`INSERT INTO users (id, name) VALUES (900, 'later'); UPDATE worlds SET settings = NULL; DELETE FROM tickets;
    SELECT setval('ticket_numbers', 4000), setval('users_id_seq', 900)`)
  await reset.put(`${filesPrefix}story 1.txt`, 'another end')
  await reset.stack.redis.set('page:1', 'other')
}

const restoring = () => ({ operation: 'restore', backupId, confirm: environment, rehearse: false })

beforeAll(async () => {
  await reset.seed({ users: 10, files: 3, keys: 4 })
  await reset.stack.redis.persist('hash')
  before = await reset.fingerprint()
  backupId = (await reset.succeed({ operation: 'backup', rehearse: false })).backupId
  await change()
  changed = await reset.fingerprint()
})
beforeEach(() => {
  fault = () => {}
})

/** Each store is as the outcome says: as it was, or as the backup has it; only one that was under way may be between. */
function checkHonest({ targets }: Outcome, is: Print): void {
  for (const store of ['database', 'files', 'cache'] as const) {
    const { state } = targets[store]
    if (state === 'restored') expect(is[store], `${store} is ${state}`).toEqual(before[store])
    else if (state !== 'partly_restored') expect(is[store], `${store} is ${state}`).toEqual(changed[store])
  }
}

it.each((['before', 'after'] as const).filter((when) => isFull || when === 'after'))(
  'a failure %s any step leaves each store as the outcome says, and says where the safety backup is',
  async (moment) => {
    const broken: string[] = []
    // The short form breaks every fifth step, after it alone.
    for (let at = rounds({ short: 3, full: 1 }); ; at += rounds({ short: 5, full: 1 })) {
      let step = 0
      fault = (when) => {
        if (when === moment && ++step === at) throw Object.assign(new Error('injected'), { name: 'Crashed' })
      }
      const ended = await reset.run(restoring())
      await atWork.settled()
      const is = await reset.fingerprint()
      if (ended.status === 'SUCCEEDED') {
        expect(is).toEqual(before)
        break
      }
      broken.push(ended.name)
      const row = await reset.row(ended.name)
      if (row === undefined) {
        expect([at, is]).toEqual([1, changed]) // before its first step a run has no row to say anything in
        continue
      }
      const outcome = Outcome.parse(row.outcome)
      expect(outcome.status).toBe('failed')
      // What crashed outside its function is known to a Map only by its count of failures.
      expect(outcome.error?.name).toMatch(/^(Crashed|States\.ExceedToleratedFailureThreshold)$/)
      checkHonest(outcome, is)
      const isTouched = JSON.stringify(is) !== JSON.stringify(changed)
      const sealed = await reset.sealed()
      if (outcome.backupId !== null) {
        expect(sealed).toContain(outcome.backupId)
        expect(outcome.backupPrefix).toContain(outcome.backupId)
      }
      if (isTouched) {
        expect(outcome.backupId).not.toBeNull()
        fault = () => {}
        await reset.succeed({ ...restoring(), backupId: outcome.backupId, safetyBackup: false, exact: true })
        expect((await reset.fingerprint()).database).toEqual(changed.database)
      }
    }
    expect(broken.length).toBeGreaterThan(rounds({ short: 1, full: 7 }))
    tried(`a failure ${moment} any step of a restore`, { steps: broken.length })
    await reset.stack.redis.persist('hash')
    await change()
    changed = await reset.fingerprint()
  },
  1_200_000,
)

it.runIf(isFull)(
  `each answer that is lost once is asked for again, and the end is the same ${inFullForm}`,
  async () => {
    const lost = new Set<string>()
    fault = (when, name) => {
      if (when === 'before' || lost.has(name)) return
      lost.add(name)
      throw Object.assign(new Error('injected'), { name: 'Lambda.Unknown' })
    }
    await reset.succeed({ ...restoring(), rehearse: true })
    expect([...lost]).toEqual(
      expect.arrayContaining(['count', 'export', 'copy', 'load', 'compare', 'seal', 'restore']),
    )
    expect(await reset.fingerprint()).toEqual(before)
  },
)
