import { describe, expect, it } from 'vitest'
import { LimitExceeded } from '../../lib/errors.ts'
import { checkInvocation, invocationMs } from '../../lib/executions/invocation.ts'

const seconds = invocationMs / 1000
const speed = { slow: 100, fast: 400 }
const work = (amount: number) => ({
  does: 'Carrying sand',
  amounts: [{ amount, of: 'file', speed }] as const,
  instead: 'carry less',
})

describe('what one invocation can do', () => {
  it('passes silently what it does at its slowest, and with a warning what it may not', () => {
    expect(checkInvocation(work(seconds * speed.slow))).toEqual([])
    expect(checkInvocation(work(seconds * speed.slow + 1))).toEqual([
      {
        code: 'MayTakeTooLong',
        message:
          'Carrying sand (84,001 files) would take about 211 to 841 s, and the one invocation that does it has 840 s: it may be given up then, with nothing changed. If so, carry less',
      },
    ])
    expect(checkInvocation(work(seconds * speed.fast))).toHaveLength(1)
    expect(checkInvocation(work(0))).toEqual([])
  })

  it('refuses with the figures and the way out what it cannot do at its fastest', () => {
    const refused = () => checkInvocation(work(seconds * speed.fast + 1))
    expect(refused).toThrow(LimitExceeded)
    expect(refused).toThrow(
      /^Carrying sand \(336,001 files\) would take about 841 to 3,361 s, .* has 840 s\. Nothing was touched; carry less$/,
    )
  })

  it('adds up what it does one after the other', () => {
    const half = { amount: (seconds * speed.fast) / 2, of: 'key', speed } as const
    expect(checkInvocation({ ...work(0), amounts: [half, half] })).toHaveLength(1)
    const more = { amount: 401, of: 'byte', speed } as const
    expect(() => checkInvocation({ ...work(0), amounts: [half, half, more] })).toThrow('401 B) would take')
  })
})
