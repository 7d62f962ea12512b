import { describe, expect, test } from 'vitest'
import { loadFunctions } from '../../local/functions.ts'
import { rounds, tried } from '../support/trust.ts'
import { useHookedStack } from './hooked-stack.ts'
import { quickReset } from './reset-stack.ts'

const { reset, withHook } = useHookedStack()

describe('two resets that are started at the same moment', () => {
  const pairs = rounds({ short: 3, full: 100 })
  test(`are one that runs and one that is refused with the first one's id, ${pairs} times`, async () => {
    await reset.seed({ users: 5, files: 2, keys: 2 })
    const { count, wipe, finish } = await loadFunctions()
    const context = { functionName: 'count', awsRequestId: 'pair', getRemainingTimeInMillis: () => 60_000 }
    const request = { ...quickReset, strategy: 'cache-only', backup: false }
    for (let pair = 0; pair < pairs; pair++) {
      // The state that takes the lock, twice at once and nothing between: the machine would only pull them apart.
      const names = [`pair-${pair}-a`, `pair-${pair}-b`]
      const counted = await Promise.allSettled(
        names.map(async (runId) =>
          count?.({ request, runId, attempt: 0, startedAt: new Date().toISOString() }, context),
        ),
      )
      const won = names.filter((_, index) => counted[index]?.status === 'fulfilled')
      const refused = counted.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      expect(won, JSON.stringify(counted)).toHaveLength(1)
      expect(refused.reason).toMatchObject({ name: 'RunActive', activeRunId: won[0] })
      await wipe?.({ runId: won[0], attempt: 0, target: 'cache' }, context)
      await finish?.({ runId: won[0] }, context)
    }
    tried('two resets at the same moment', { pairs })
    expect(await pairsInLedger('pair-')).toEqual({ rows: pairs, succeeded: pairs })
  })

  const executions = rounds({ short: 2, full: 10 })
  test(`are one execution that succeeds and one that fails so, ${executions} times`, async () => {
    await reset.seed({ users: 5, files: 2, keys: 2 })
    const request = { ...quickReset, strategy: 'cache-only' }
    for (let pair = 0; pair < executions; pair++) {
      const names = [`both-${pair}-a`, `both-${pair}-b`]
      let refused = 0
      const { promise: decided, resolve: decide } = Promise.withResolvers<void>()
      // The one that runs does not end before the other was refused, however slow that is.
      const ended = await withHook(
        (state) => {
          if (state === 'Finish failed' && ++refused === 1) decide()
          return state === 'Finish' ? decided : undefined
        },
        () => Promise.all(names.map((name) => reset.run(request, name))),
      )
      const won = ended.filter(({ status }) => status === 'SUCCEEDED')
      const lost = ended.filter(({ status }) => status === 'FAILED')
      expect([won.length, lost.length], JSON.stringify(ended)).toEqual([1, 1])
      expect(lost[0]?.error).toBe('RunActive')
      expect(lost[0]?.cause).toMatch(
        new RegExp(`^Run ${won[0]?.name} \\(reset, in [\\w ]+\\) is active since `),
      )
      expect(await reset.row(lost[0]?.name ?? '')).toBeUndefined()
    }
    expect(await pairsInLedger('both-')).toEqual({ rows: executions, succeeded: executions })
  })

  async function pairsInLedger(prefix: string): Promise<unknown> {
    const left = await reset.stack.admin.query(
      `SELECT count(*)::int AS rows, count(*) FILTER (WHERE status LIKE 'succeeded%')::int AS succeeded
       FROM taskmaster_reset.runs WHERE starts_with(run_id, $1)`,
      [prefix],
    )
    return left.rows[0]
  }
})
