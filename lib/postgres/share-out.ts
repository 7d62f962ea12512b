import type { Connection } from './connection.ts'

/**
 * How many connections share some work: opening one takes as long as reading some megabytes, or a few small tables, so
 * small work gets one.
 * @param pieces each with the bytes it has, as the limits count them
 * @see docs/decisions.md#small-work-gets-one-connection
 */
export function connectionsFor(
  pieces: readonly { bytes: number }[],
  { connections, bytesEach }: { connections: number; bytesEach: number },
): number {
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0)
  const wanted = Math.ceil(bytes / bytesEach) + Math.floor(pieces.length / piecesEach)
  return Math.max(1, Math.min(connections, pieces.length, wanted))
}

/** Each piece also costs a few requests, whatever its size. */
const piecesEach = 8

/**
 * Works on the pieces side by side, in their order, each on one of the connections, or of whatever there are several of.
 * After a failure no more are begun, nor waited for; it is thrown when those at work are done, else something would go on being
 * written after the step has failed.
 * @param pieces all of them, or as they come; none is asked for ahead
 */
export async function shareOut<Piece, Worker = Connection>(
  connections: readonly Worker[],
  pieces: readonly Piece[] | AsyncIterator<Piece>,
  work: (connection: Worker, piece: Piece) => Promise<void>,
): Promise<void> {
  const waiting = 'next' in pieces ? pieces : pieces.values()
  const failed = Promise.withResolvers<IteratorResult<Piece>>()
  let isOver = false
  const take = async () => (isOver ? none : Promise.race([waiting.next(), failed.promise]))
  const workers = connections.map(async (connection) => {
    try {
      for (let next = await take(); !next.done && !isOver; next = await take())
        await work(connection, next.value)
    } catch (error) {
      isOver = true
      failed.resolve(none)
      throw error
    }
  })
  await Promise.allSettled(workers)
  await Promise.all(workers)
}

const none = { done: true, value: undefined } as const
