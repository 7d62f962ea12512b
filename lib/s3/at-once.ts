/**
 * Milliseconds that work under way has to end by itself after another has failed. A request that is aborted may be carried
 * out by the server all the same, later, when the next run may have begun; one that was answered is over.
 */
const graceMs = 5_000

/**
 * Works on items at the same time and gives the results in their order. When one fails, no other begins, and what is under
 * way is waited for, then aborted and waited for: nothing of it goes on in the background once this has thrown, as it
 * would with p-map.
 * @param work is given the signal that ends it, for its requests
 * @param options `signal` aborts what is under way at once; `grace`: see graceMs
 * @throws what the first that failed threw, or the reason of `signal`
 * @see docs/decisions.md#an-invocation-leaves-the-register-when-nothing-is-on-its-way
 */
export async function atOnce<Item, Result>(
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  { concurrency, signal, grace = graceMs }: { concurrency: number; signal: AbortSignal; grace?: number },
): Promise<Result[]> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const results: Result[] = new Array(items.length)
  const waiting = items.entries()
  let failure: { cause: unknown } | undefined
  let patience: NodeJS.Timeout | undefined

  async function workOn(): Promise<void> {
    for (const [index, item] of waiting) {
      if (failure !== undefined) return
      try {
        either.throwIfAborted()
        results[index] = await work(item, either)
      } catch (cause) {
        failure ??= { cause }
        patience ??= setTimeout(() => stop.abort(cause), grace)
      }
    }
  }

  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, workOn))
  clearTimeout(patience)
  if (failure !== undefined) throw signal.aborted ? signal.reason : failure.cause
  return results
}
