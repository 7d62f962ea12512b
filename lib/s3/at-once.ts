/**
 * Works on items at the same time and gives the results in their order. When one fails, what is under way is aborted and
 * waited for: nothing of it goes on in the background once this has thrown, as it would with p-map.
 * @param work is given the signal that ends it, for its requests
 * @throws what the first that failed threw, or the reason of `signal`
 */
export async function atOnce<Item, Result>(
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  { concurrency, signal }: { concurrency: number; signal: AbortSignal },
): Promise<Result[]> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const results: Result[] = new Array(items.length)
  const waiting = items.entries()
  let failure: { cause: unknown } | undefined

  async function workOn(): Promise<void> {
    for (const [index, item] of waiting) {
      if (failure !== undefined) return
      try {
        either.throwIfAborted()
        results[index] = await work(item, either)
      } catch (cause) {
        failure ??= { cause }
        stop.abort(failure.cause)
      }
    }
  }

  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, workOn))
  if (failure !== undefined) throw signal.aborted ? signal.reason : failure.cause
  return results
}
