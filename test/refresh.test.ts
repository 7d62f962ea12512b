import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { InvalidConfiguration, StoreUnavailable } from '../lib/errors.ts'
import { refreshed } from '../lib/refresh.ts'

const ages = { fresh: 100, usable: 1_000, pause: 10, patience: 5 }

/** A value whose source and clock stand still until a test moves them. */
function start() {
  const source = {
    time: 5_000,
    asked: 0,
    answer: async (): Promise<string> => 'first',
  }
  const read = () => {
    source.asked++
    return source.answer()
  }
  const now = () => new Date(source.time)
  const value = refreshed('LIST', { first: 'first', read, now }, ages)
  const wait = (milliseconds: number, answer = source.answer) => {
    source.time += milliseconds
    source.answer = answer
    return value()
  }
  return { source, wait }
}

const silent = () => Promise.reject(new StoreUnavailable('no answer'))

describe('a value that changes elsewhere', () => {
  test('is read again when it is asked for and has become old, and not before', async () => {
    const { source, wait } = start()
    expect(await wait(99, async () => 'second')).toBe('first')
    expect(source.asked).toBe(0)
    expect(await wait(1)).toBe('second')
    expect(await wait(99, async () => 'third')).toBe('second')
    expect(await wait(1)).toBe('third')
    expect(source.asked).toBe(2)
  })

  test('is used on while its source does not answer, for a while, and its source is asked with pauses', async () => {
    const { source, wait } = start()
    expect(await wait(100, silent)).toBe('first')
    expect(await wait(9)).toBe('first')
    expect(source.asked).toBe(1)
    expect(await wait(1)).toBe('first')
    expect(source.asked).toBe(2)
    expect(await wait(889)).toBe('first')
    await expect(wait(1)).rejects.toThrow('no answer')
    expect(await wait(10, async () => 'second')).toBe('second')
  })

  test('does not hold any more when its source says something wrong, or that there is nothing', async () => {
    const { wait } = start()
    const wrong = () => Promise.reject(new InvalidConfiguration('no list'))
    await expect(wait(100, wrong)).rejects.toThrow('no list')
    await expect(wait(1, async () => 'second')).rejects.toThrow('no list')
    expect(await wait(9)).toBe('second')
  })

  test('is waited for a moment only while the one that is known is good, and counts when it comes', async () => {
    const { source, wait } = start()
    const late = Promise.withResolvers<string>()
    expect(await wait(100, () => late.promise)).toBe('first')
    expect(await wait(0)).toBe('first')
    expect(source.asked).toBe(1)
    late.resolve('second')
    await setTimeout()
    expect(await wait(10)).toBe('second')
    expect(source.asked).toBe(1)
  })

  test('is waited for to the end when none is known that is good, by all who ask', async () => {
    const { source, wait } = start()
    const late = Promise.withResolvers<string>()
    const asking = [wait(1_000, () => late.promise), wait(0)]
    await setTimeout(2 * ages.patience)
    late.resolve('second')
    expect(await Promise.all(asking)).toEqual(['second', 'second'])
    expect(source.asked).toBe(1)
  })

  test('is as old as its question, and an answer that comes after a later one does not count', async () => {
    const { source, wait } = start()
    const [slow, quick] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const first = wait(1_000, () => slow.promise)
    const second = wait(100, () => quick.promise)
    quick.resolve('of the later question')
    expect(await second).toBe('of the later question')
    slow.resolve('of the earlier question')
    await first
    expect(await wait(0)).toBe('of the later question')
    expect(source.asked).toBe(2)
  })
})
