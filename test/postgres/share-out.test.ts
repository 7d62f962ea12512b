import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Connection } from '../../lib/postgres/connection.ts'
import { connectionsFor, shareOut } from '../../lib/postgres/share-out.ts'

describe('the connections for some work', () => {
  const limits = { connections: 3, bytesEach: 100 }
  const pieces = (count: number, bytes: number) => Array.from({ length: count }, () => ({ bytes }))

  it.each([
    ['nothing', pieces(0, 0), 1],
    ['one small piece', pieces(1, 1), 1],
    ['a few small pieces', pieces(7, 0), 1],
    ['so many bytes that a second one is worth it', pieces(2, 51), 2],
    ['many small pieces', pieces(16, 1), 3],
    ['more of both than there may be connections for', pieces(1_000, 1_000), 3],
    ['one large piece, which cannot be shared', pieces(1, 1_000), 1],
  ])('are as few as do it well: %s', (_says, work, expected) => {
    expect(connectionsFor(work, limits)).toBe(expected)
  })
})

describe('work that is shared out', () => {
  const [one, other] = ['one', 'other'] as unknown as [Connection, Connection]

  it('is begun in its order, each piece once, on every connection that is free', async () => {
    const begun: number[] = []
    const used = new Set<Connection>()
    await shareOut([one, other], [1, 2, 3, 4, 5], async (connection, piece) => {
      begun.push(piece)
      used.add(connection)
      await sleep(1)
    })
    expect(begun).toEqual([1, 2, 3, 4, 5])
    expect(used).toEqual(new Set([one, other]))
  })

  it('begins nothing more after a failure, which is thrown when what was at work is done', async () => {
    const begun: number[] = []
    let done = 0
    const working = shareOut([one, other], [1, 2, 3, 4], async (_connection, piece) => {
      begun.push(piece)
      if (piece === 1) throw new Error('the first one failed')
      await sleep(20)
      done++
    })
    await expect(working).rejects.toThrow('the first one failed')
    expect([begun, done]).toEqual([[1, 2], 1])
  })

  it('waits for no more of it after a failure, which may be a long time in coming', async () => {
    async function* pieces() {
      yield 1
      await sleep(60_000, undefined, { ref: false })
      yield 2
    }
    const working = shareOut([one, other], pieces(), async () => {
      throw new Error('the first one failed')
    })
    await expect(Promise.race([working, sleep(1000)])).rejects.toThrow('the first one failed')
  })
})
