import { SFNClient } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Config } from '../../lib/config/variables.ts'
import { InvalidConfiguration, StoreUnavailable } from '../../lib/errors.ts'
import { findExecution, startExecution, stopExecution } from '../../lib/executions/executions.ts'
import { type JsonCall, startJsonService } from '../deployment/json-front.ts'

const machine = 'arn:aws:states:eu-central-1:123456789012:stateMachine:reset'
const execution = 'arn:aws:states:eu-central-1:123456789012:execution:reset:run-1'

let calls: Omit<JsonCall, 'headers'>[] = []
let answer: { status: number; body: unknown }
let tools: { sfn: SFNClient; config: Config }
let stop: () => Promise<void>

beforeAll(async () => {
  const service = await startJsonService(async ({ operation, body }) => {
    calls.push({ operation, body })
    return answer
  })
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  const sfn = new SFNClient({ endpoint: service.url, region: 'eu-central-1', credentials, maxAttempts: 1 })
  tools = { sfn, config: { STATE_MACHINE_ARN: machine } as Config }
  stop = async () => {
    sfn.destroy()
    await service.stop()
  }
})
afterAll(() => stop())

const start = () => startExecution(tools, 'run-1', { operation: 'backup' })
const find = () => findExecution(tools, 'run-1')
const end = () => stopExecution(tools, 'run-1', { error: 'Cancelled', cause: 'by anna' })

/** What Step Functions answers to all that is asked from here on. */
function says(body: object, status = 200): void {
  calls = []
  answer = { status, body }
}
const refuses = (name: string) => says({ __type: `com.amazonaws.states#${name}`, message: 'refused' }, 400)

test("a run's id is the name of its execution, by which it is started, found and stopped", async () => {
  says({ executionArn: execution, startDate: 1, stopDate: 1, status: 'RUNNING' })
  expect(await start()).toBe(true)
  expect(await find()).toMatchObject({ status: 'RUNNING' })
  await end()
  expect(calls).toEqual([
    {
      operation: 'StartExecution',
      body: expect.objectContaining({ stateMachineArn: machine, name: 'run-1' }),
    },
    { operation: 'DescribeExecution', body: { executionArn: execution } },
    { operation: 'StopExecution', body: { executionArn: execution, error: 'Cancelled', cause: 'by anna' } },
  ])
  expect(JSON.parse(calls[0]?.body.input ?? '')).toEqual({ operation: 'backup' })
})

test('a run whose id is taken is not started, and one whose execution is forgotten is neither found nor stopped', async () => {
  refuses('ExecutionAlreadyExists')
  expect(await start()).toBe(false)
  refuses('ExecutionDoesNotExist')
  expect(await find()).toBeUndefined()
  await end()
  expect(calls).toHaveLength(2)
})

test('a machine that is not there is a wrong configuration, and any other refusal says that it cannot be used', async () => {
  for (const name of [
    'StateMachineDoesNotExist',
    'InvalidArn',
    'AccessDeniedException',
    'ThrottlingException',
  ]) {
    refuses(name)
    const isWrong = name === 'StateMachineDoesNotExist' || name === 'InvalidArn'
    for (const act of [start, find, end]) {
      const acting = act()
      await expect(acting, name).rejects.toThrow(isWrong ? InvalidConfiguration : StoreUnavailable)
      await expect(acting).rejects.toThrow(
        isWrong ? 'Correct STATE_MACHINE_ARN' : `${machine} cannot be used`,
      )
    }
  }
  refuses('ExecutionDoesNotExist')
  await expect(start(), 'what is started').rejects.toThrow(StoreUnavailable)
  refuses('ExecutionAlreadyExists')
  await expect(find()).rejects.toThrow(StoreUnavailable)
  await expect(end()).rejects.toThrow(StoreUnavailable)
})

test('without a machine nothing is asked', async () => {
  says({})
  const none = { ...tools, config: {} as Config }
  await expect(startExecution(none, 'run-1', {})).rejects.toThrow('STATE_MACHINE_ARN is missing')
  await expect(findExecution(none, 'run-1')).rejects.toThrow(InvalidConfiguration)
  expect(calls).toEqual([])
})
