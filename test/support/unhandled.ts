import { afterAll, afterEach, beforeAll, expect } from 'vitest'

/** No promise of a test of the file may be rejected with nobody there to hear of it, also after the test. */
export function expectNothingUnhandled({ settleMs = 0 } = {}): void {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  beforeAll(() => void process.on('unhandledRejection', note))
  afterEach(async () => {
    if (settleMs > 0) await new Promise((resolve) => setTimeout(resolve, settleMs)) // what a failed part left running
    expect(unhandled).toEqual([])
  })
  afterAll(() => {
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })
}
