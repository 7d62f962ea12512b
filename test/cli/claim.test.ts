import { expect, test } from 'vitest'
import { fillSample } from '../../local/sample.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack({ claimed: false })
const backup = ['backup', '--idempotency-key', 'first', '--json']

test('stores that nobody claimed are refused with 3, until claim is said', async () => {
  await fillSample(cli.stack, { scale: 0.1 })
  const before = await cli.count()
  const refused = await cli.cli(backup)
  expect(refused.code).toBe(3)
  expect(refused.json).toMatchObject({ status: 'failed', error: { name: 'EnvironmentUnclaimed' } })
  expect(refused.json.error.message).toContain('"operation":"claim"')

  const claimed = await cli.cli(['claim', '--confirm', 'local', '--json'])
  expect(claimed).toMatchObject({ code: 0, json: { operation: 'claim', status: 'succeeded' } })

  // The refused request never became a run, so its key is not spent.
  const taken = await cli.cli(backup)
  expect(taken).toMatchObject({ code: 0, json: { status: 'succeeded' } })
  expect(await cli.count()).toEqual(before)
})
