import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn'
import { expect, test } from 'vitest'
import { MACHINE_ARN } from '../../local/machine/arn.ts'
import { task, useMachines } from '../support/step-functions.ts'

const serve = useMachines()

/** A machine whose one Task ends when told to. */
async function held() {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  let invocations = 0
  const hold = async () => {
    invocations += 1
    await gate
  }
  const machine = await serve(
    { Hold: task('hold', { Next: 'After' }), After: task('after') },
    { hold, after: () => ++invocations },
  )
  return { ...machine, open, invocations: () => invocations }
}

const start = (input: string, name?: string, stateMachineArn = MACHINE_ARN) =>
  new StartExecutionCommand({ stateMachineArn, input, name })

test('the same name and input while it runs gives the same execution', async () => {
  const { client, open, invocations } = await held()
  const first = await client.send(start('{"a":1}', 'once'))
  const second = await client.send(start('{"a":1}', 'once'))
  expect(second.executionArn).toBe(first.executionArn)
  expect(second.startDate).toEqual(first.startDate)
  await expect.poll(invocations).toBe(1)
  open()
})

test('the same name with another input, or after the end, already exists', async () => {
  const { client, open } = await held()
  const { executionArn } = await client.send(start('{"a":1}', 'once'))
  await expect(client.send(start('{"a":2}', 'once'))).rejects.toMatchObject({
    name: 'ExecutionAlreadyExists',
  })
  open()
  const describe = () => client.send(new DescribeExecutionCommand({ executionArn }))
  await expect.poll(async () => (await describe()).status).toBe('SUCCEEDED')
  await expect(client.send(start('{"a":1}', 'once'))).rejects.toMatchObject({
    name: 'ExecutionAlreadyExists',
  })
})

test('wrong requests are refused by the names that AWS has for them', async () => {
  const { client } = await serve({ Done: { Type: 'Succeed' } })
  const refusals = [
    [start('{}', 'has space'), 'InvalidName'],
    [start('{}', 'a/b'), 'InvalidName'],
    [start('{}', 'x'.repeat(81)), 'InvalidName'],
    [start('no json'), 'InvalidExecutionInput'],
    [start(JSON.stringify('x'.repeat(262_143))), 'InvalidExecutionInput'],
    [start('{}', undefined, `${MACHINE_ARN}-other`), 'StateMachineDoesNotExist'],
    [start('{}', undefined, 'nonsense'), 'InvalidArn'],
  ] as const
  for (const [command, name] of refusals) await expect(client.send(command)).rejects.toMatchObject({ name })
  const unknown = MACHINE_ARN.replace(':stateMachine:', ':execution:').concat(':unknown')
  for (const command of [
    new DescribeExecutionCommand({ executionArn: unknown }),
    new StopExecutionCommand({ executionArn: unknown }),
    new GetExecutionHistoryCommand({ executionArn: unknown }),
  ]) {
    await expect(client.send(command as DescribeExecutionCommand)).rejects.toMatchObject({
      name: 'ExecutionDoesNotExist',
    })
  }
})

test('a name may have 80 characters, and is made when there is none', async () => {
  const { client, run } = await serve({ Done: { Type: 'Succeed' } })
  expect((await run({}, 'x'.repeat(80))).status).toBe('SUCCEEDED')
  const { executionArn } = await client.send(start('{}'))
  expect(executionArn).toMatch(/:execution:taskmaster-reset:[0-9a-f-]{36}$/)
})

test('an execution is described with its input, output and times', async () => {
  const { run } = await serve(
    { Add: task('add') },
    { add: (event) => ({ sum: (event as { a: number }).a + 1 }) },
  )
  const described = await run({ a: 1 }, 'described')
  expect(described).toMatchObject({
    name: 'described',
    stateMachineArn: MACHINE_ARN,
    status: 'SUCCEEDED',
    input: '{"a":1}',
    output: '{"sum":2}',
    startDate: expect.any(Date),
    stopDate: expect.any(Date),
  })
  expect(Math.abs(Number(described.startDate) - Date.now())).toBeLessThan(60_000)
})

test('what a function throws ends the execution with its name and Lambda’s cause', async () => {
  class BackupIsStale extends Error {
    override readonly name = 'BackupIsStale'
  }
  const fail = () => {
    throw new BackupIsStale('public.users: 3 rows came later')
  }
  const { client, run } = await serve({ Fail: task('fail') }, { fail })
  const { status, error, cause, executionArn } = await run()
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'BackupIsStale' })
  const report = { errorType: 'BackupIsStale', errorMessage: 'public.users: 3 rows came later', trace: [] }
  expect(JSON.parse(cause ?? '')).toEqual(report)
  const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }))
  const failed = { error: 'BackupIsStale', cause }
  expect(
    events?.find(({ type }) => type === 'LambdaFunctionFailed')?.lambdaFunctionFailedEventDetails,
  ).toEqual(failed)
  expect(events?.at(-1)).toMatchObject({ type: 'ExecutionFailed', executionFailedEventDetails: failed })
})

test('a stopped execution is aborted at once, and starts nothing more', async () => {
  const { client, open, invocations } = await held()
  const { executionArn } = await client.send(start('{}'))
  await expect.poll(invocations).toBe(1)
  const { stopDate } = await client.send(
    new StopExecutionCommand({ executionArn, error: 'Cancelled', cause: 'by hand' }),
  )
  const described = await client.send(new DescribeExecutionCommand({ executionArn }))
  expect(described).toMatchObject({ status: 'ABORTED', error: 'Cancelled', cause: 'by hand', stopDate })
  open()
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(invocations()).toBe(1)
  const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }))
  expect(events?.at(-1)?.type).toBe('ExecutionAborted')
  // Stopping again changes nothing.
  expect((await client.send(new StopExecutionCommand({ executionArn }))).stopDate).toEqual(stopDate)
})

test('the history tells each step in order, in pages, from either end', async () => {
  const definition = { First: { Type: 'Pass', Next: 'Second' }, Second: task('second') }
  const { client, run } = await serve(definition, { second: () => 'done' })
  const { executionArn } = await run({ a: 1 })
  const history = async (parameters = {}) =>
    client.send(new GetExecutionHistoryCommand({ executionArn, ...parameters }))
  const { events = [] } = await history()
  expect(events.map(({ id, previousEventId, type }) => [id, previousEventId, type])).toEqual([
    [1, 0, 'ExecutionStarted'],
    [2, 1, 'PassStateEntered'],
    [3, 2, 'PassStateExited'],
    [4, 3, 'TaskStateEntered'],
    [5, 4, 'LambdaFunctionScheduled'],
    [6, 5, 'LambdaFunctionStarted'],
    [7, 6, 'LambdaFunctionSucceeded'],
    [8, 7, 'TaskStateExited'],
    [9, 8, 'ExecutionSucceeded'],
  ])
  expect(events[3]?.stateEnteredEventDetails).toEqual({ name: 'Second', input: '{"a":1}' })
  expect(events[7]?.stateExitedEventDetails).toEqual({ name: 'Second', output: '"done"' })
  const first = await history({ maxResults: 4, reverseOrder: true })
  const second = await history({ maxResults: 5, reverseOrder: true, nextToken: first.nextToken })
  expect([...(first.events ?? []), ...(second.events ?? [])]).toEqual(events.toReversed())
  expect(second.nextToken).toBeUndefined()
})

test('executions are listed newest first, by status, in pages that new ones do not shift', async () => {
  const { client, run } = await serve(
    { Check: task('check') },
    { check: (event) => assertEven(event as number) },
  )
  for (let number = 1; number <= 6; number++) await run(number, `run-${number}`)
  const list = async (parameters = {}) => {
    const page = await client.send(new ListExecutionsCommand({ stateMachineArn: MACHINE_ARN, ...parameters }))
    return { names: page.executions?.map(({ name }) => name), nextToken: page.nextToken }
  }
  expect((await list()).names).toEqual(['run-6', 'run-5', 'run-4', 'run-3', 'run-2', 'run-1'])
  expect((await list({ statusFilter: 'FAILED' })).names).toEqual(['run-5', 'run-3', 'run-1'])
  const first = await list({ maxResults: 2 })
  await run(7, 'run-7')
  const second = await list({ maxResults: 2, nextToken: first.nextToken })
  expect([first.names, second.names]).toEqual([
    ['run-6', 'run-5'],
    ['run-4', 'run-3'],
  ])
  await expect(list({ nextToken: 'nonsense' })).rejects.toMatchObject({ name: 'InvalidToken' })
})

test('the machine describes itself', async () => {
  const { client } = await serve({ Done: { Type: 'Succeed' } })
  const described = await client.send(new DescribeStateMachineCommand({ stateMachineArn: MACHINE_ARN }))
  expect(described).toMatchObject({ name: 'taskmaster-reset', status: 'ACTIVE', type: 'STANDARD' })
  expect(JSON.parse(described.definition ?? '')).toEqual({
    StartAt: 'Done',
    States: { Done: { Type: 'Succeed' } },
  })
})

test('a request without the header that a web page cannot send is not carried out', async () => {
  const { endpoint } = await serve({ Done: { Type: 'Succeed' } })
  const body = JSON.stringify({ stateMachineArn: MACHINE_ARN })
  const response = await fetch(endpoint.url, { method: 'POST', body })
  expect(response.status).toBe(400)
})

function assertEven(number: number): number {
  if (number % 2 !== 0) throw new Error(`${number} is odd`)
  return number
}
