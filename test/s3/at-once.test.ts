import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../lib/s3/at-once.ts'

const never = new AbortController().signal

describe('work that is done at the same time', () => {
  test('is not cut off when another fails, but waited for; no more begins', async () => {
    const ended: number[] = []
    const doing = atOnce(
      [0, 1, 2, 3],
      async (item, signal) => {
        if (item === 0) throw new Error('refused')
        await setTimeout(50)
        signal.throwIfAborted()
        ended.push(item)
      },
      { concurrency: 3, signal: never },
    )
    await expect(doing).rejects.toThrow('refused')
    expect(ended).toEqual([1, 2])
  })

  test('is aborted when it does not end in time, and waited for all the same', async () => {
    let isOver = false
    const doing = atOnce(
      [0, 1],
      async (item, signal) => {
        if (item === 0) throw new Error('refused')
        await setTimeout(60_000, undefined, { signal }).catch(() => {})
        isOver = true
      },
      { concurrency: 2, signal: never, grace: 20 },
    )
    await expect(doing).rejects.toThrow('refused')
    expect(isOver).toBe(true)
  })

  test('is aborted at once when its time is over', async () => {
    const over = new AbortController()
    const doing = atOnce(
      [0, 1],
      async (item, signal) => {
        if (item === 1) over.abort(new Error('out of time'))
        await setTimeout(60_000, undefined, { signal })
      },
      { concurrency: 2, signal: over.signal },
    )
    await expect(doing).rejects.toThrow('out of time')
  })
})
