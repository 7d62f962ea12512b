import { expect, test } from 'vitest'
import { startStack } from '../../local/stack.ts'

test('the embedded stack starts in under five seconds', async () => {
  const startedAt = performance.now()
  const stack = await startStack({ environment: { PATH: process.env.PATH } })
  const tookMs = performance.now() - startedAt
  await stack.stop()
  expect(tookMs).toBeLessThan(5_000)
})
