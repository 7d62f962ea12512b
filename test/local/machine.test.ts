import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn'
import { expect, test } from 'vitest'
import { assertRunsHere, readDefinition } from '../../local/machine/definition.ts'
import type { LambdaContext } from '../../local/machine/tasks.ts'
import { task, useMachines } from '../support/step-functions.ts'

const serve = useMachines()

const KB = 1024
const large = (bytes: number) => 'x'.repeat(bytes)
const caught = { Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }] }
const Caught = { Type: 'Pass', End: true }

test('a function gets a copy of its input and a Lambda context', async () => {
  const seen: { event: unknown; context: LambdaContext }[] = []
  const look = (event: unknown, context: LambdaContext) => {
    seen.push({ event, context })
    return { date: new Date(0), missing: undefined }
  }
  const { run } = await serve({ Look: task('look', { TimeoutSeconds: 100 }) }, { look })
  const { result } = await run({ a: [1] })
  expect(seen[0]?.event).toEqual({ a: [1] })
  expect(seen[0]?.context.functionName).toBe('look')
  expect(seen[0]?.context.awsRequestId).toMatch(/^[0-9a-f-]{36}$/)
  expect(seen[0]?.context.getRemainingTimeInMillis()).toBeGreaterThan(90_000)
  expect(seen[0]?.context.getRemainingTimeInMillis()).toBeLessThanOrEqual(100_000)
  expect(result).toEqual({ date: '1970-01-01T00:00:00.000Z' })
})

test('a result over 256 KiB ends the execution, whatever it catches', async () => {
  const states = { Big: task('big', { ...caught, Retry: [{ ErrorEquals: ['States.ALL'] }] }), Caught }
  const { run, endpoint } = await serve(states, { big: (event) => large(event as number) })
  const most = 256 * KB - 2 // the two quotes of the JSON text
  expect((await run(most)).status).toBe('SUCCEEDED')
  const { status, error, name } = await run(most + 1)
  expect({ status, error }).toEqual({ status: 'FAILED', error: 'States.DataLimitExceeded' })
  expect(endpoint.taskPayloads(name)).toEqual([
    { state: 'Big', invocations: 1, inputBytes: 6, outputBytes: 256 * KB + 1 },
  ])
})

test('an input over 256 KiB that states have put together is never handed to a function', async () => {
  let invoked = false
  const states = {
    Half: task('half', { ResultPath: '$.more', Next: 'Next' }),
    Next: task('next', caught),
    Caught,
  }
  const { run } = await serve(states, { half: () => large(200 * KB), next: () => (invoked = true) })
  const { error } = await run({ some: large(100 * KB) })
  expect({ error, invoked }).toEqual({ error: 'States.DataLimitExceeded', invoked: false })
})

test('the combined output of a Map counts against the limit', async () => {
  const states = {
    Each: { Type: 'Map', ItemProcessor: { StartAt: 'One', States: { One: task('one') } }, End: true },
  }
  const { run } = await serve(states, { one: () => large(100 * KB) })
  expect((await run([1, 2])).status).toBe('SUCCEEDED')
  expect((await run([1, 2, 3])).error).toBe('States.DataLimitExceeded')
})

test('retries follow the error’s name, then the catch gets error and cause', async () => {
  let attempts = 0
  const states = {
    Try: task('try', {
      Retry: [{ ErrorEquals: ['Busy'], MaxAttempts: 2 }],
      Catch: [{ ErrorEquals: ['Busy'], ResultPath: '$.failure', Next: 'Caught' }],
    }),
    Caught,
  }
  const busy = () => {
    attempts += 1
    throw Object.assign(new Error('locked'), { name: 'Busy' })
  }
  const { run, endpoint } = await serve(states, { try: busy })
  const { result, name } = await run({ id: 1 })
  const cause = JSON.stringify({ errorType: 'Busy', errorMessage: 'locked', trace: [] })
  expect(attempts).toBe(3)
  expect(result).toEqual({ id: 1, failure: { Error: 'Busy', Cause: cause } })
  expect(endpoint.taskFailures(name)).toHaveLength(3)
})

test('a test can make any state fail before its function is called', async () => {
  let invoked = 0
  const states = { Count: task('count', { Retry: [{ ErrorEquals: ['Injected'], MaxAttempts: 1 }] }) }
  const faults = [Object.assign(new Error('lost'), { name: 'Injected' })]
  const beforeTask = (state: string) => {
    const fault = state === 'Count' ? faults.shift() : undefined
    if (fault) throw fault
  }
  const { run } = await serve(states, { count: () => ++invoked }, { beforeTask })
  expect((await run()).result).toBe(1)
})

test('a Task that takes too long times out, and its late end changes nothing', async () => {
  const states = {
    Slow: task('slow', { TimeoutSeconds: 1, Catch: [{ ErrorEquals: ['States.Timeout'], Next: 'Wait' }] }),
    Wait: task('wait'),
  }
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  const { run, client } = await serve(states, { slow: () => sleep(1_100), wait: () => sleep(250) })
  const { status, executionArn } = await run()
  expect(status).toBe('SUCCEEDED')
  const { events = [] } = await client.send(new GetExecutionHistoryCommand({ executionArn }))
  const types = events.map(({ type }) => type)
  expect(types).toContain('LambdaFunctionTimedOut')
  expect(types.filter((type) => type === 'LambdaFunctionSucceeded')).toHaveLength(1)
})

test('the failure of one branch ends a Parallel under its own name, and the others start nothing more', async () => {
  const begun: string[] = []
  const { promise: failed, resolve: fail } = Promise.withResolvers<void>()
  const slow = async () => {
    begun.push('slow')
    await failed
  }
  const states = {
    Both: {
      Type: 'Parallel',
      Branches: [
        { StartAt: 'Slow', States: { Slow: task('slow', { Next: 'Later' }), Later: task('later') } },
        { StartAt: 'Broken', States: { Broken: task('broken') } },
      ],
      Catch: [{ ErrorEquals: ['Broken'], Next: 'Pause' }],
      End: true,
    },
    Pause: task('pause'),
  }
  const functions = {
    slow,
    later: () => begun.push('later'),
    broken: () => {
      throw Object.assign(new Error('no'), { name: 'Broken' })
    },
    pause: () => {
      fail()
      return new Promise((resolve) => setTimeout(resolve, 100))
    },
  }
  const { run } = await serve(states, functions)
  expect((await run()).status).toBe('SUCCEEDED')
  expect(begun).toEqual(['slow'])
})

test.each(['INLINE', 'DISTRIBUTED'])(
  'once a Map (%s) has failed, none of its items is started',
  async (Mode) => {
    const begun: number[] = []
    const one = async (event: unknown) => {
      begun.push(event as number)
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (event === 2) throw Object.assign(new Error('two'), { name: 'NoTwo' })
    }
    const states = {
      Each: {
        Type: 'Map',
        MaxConcurrency: 2,
        ItemProcessor: { ProcessorConfig: { Mode }, StartAt: 'One', States: { One: task('one') } },
        Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$', Next: 'Pause' }],
        End: true,
      },
      Pause: task('pause'),
    }
    const pause = async (event: unknown) => {
      await new Promise((resolve) => setTimeout(resolve, 60))
      return (event as { Error: string }).Error
    }
    const { run, endpoint } = await serve(states, { one, pause })
    const { result, name } = await run([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(begun.length).toBeLessThanOrEqual(4)
    // A Distributed Map hides by what name its child failed; the local engine still tells it to tests.
    expect(result).toBe(Mode === 'INLINE' ? 'NoTwo' : 'States.ExceedToleratedFailureThreshold')
    expect(endpoint.taskFailures(name).map(({ error }) => error)).toEqual(['NoTwo'])
  },
)

test('a Distributed Map tolerates as many failures as it says', async () => {
  const states = {
    Each: {
      Type: 'Map',
      ToleratedFailurePercentage: 50,
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED' },
        StartAt: 'One',
        States: { One: task('one') },
      },
      End: true,
    },
  }
  const one = (event: unknown) => {
    if (event === 'bad') throw new Error('bad')
    return event
  }
  const { run } = await serve(states, { one })
  expect((await run(['bad', 1, 'bad', 2])).result).toEqual([1, 2])
  expect((await run(['bad', 1, 'bad'])).error).toBe('States.ExceedToleratedFailureThreshold')
})

test('the items of a Map run at most as many at once as it allows, and keep their order', async () => {
  let running = 0
  let most = 0
  const { promise: allowed, resolve: allow } = Promise.withResolvers<void>()
  const one = async (event: unknown) => {
    most = Math.max(most, ++running)
    if (running === 3) allow()
    await allowed
    await new Promise((resolve) => setTimeout(resolve, 5))
    running -= 1
    return event
  }
  const states = {
    Each: {
      Type: 'Map',
      ItemsPath: '$.batches',
      MaxConcurrency: 3,
      ItemSelector: { 'batch.$': '$$.Map.Item.Value', 'index.$': '$$.Map.Item.Index', 'run.$': '$.run' },
      ItemProcessor: { StartAt: 'One', States: { One: task('one') } },
      ResultSelector: { 'count.$': 'States.ArrayLength($)', 'first.$': '$[0]' },
      ResultPath: '$.mapped',
      End: true,
    },
  }
  const { run } = await serve(states, { one })
  const batches = [{ batch: 7 }, { batch: 8 }, { batch: 9 }, { batch: 10 }]
  const { result } = await run({ run: 'r', batches })
  expect(result).toEqual({
    run: 'r',
    batches,
    mapped: { count: 4, first: { batch: { batch: 7 }, index: 0, run: 'r' } },
  })
  expect(most).toBe(3)
  expect((await run({ run: 'r', batches: [] })).error).toBe('States.Runtime') // $[0] of nothing, as on AWS
})

test('the context object is the execution’s own in branches and inline items, another one in a Distributed Map', async () => {
  const look = task('echo', {
    Parameters: {
      'id.$': '$$.Execution.Id',
      'name.$': '$$.Execution.Name',
      'input.$': '$$.Execution.Input',
      'started.$': '$$.Execution.StartTime',
      'text.$': "States.Format('{} in {}', $$.State.Name, $$.StateMachine.Name)",
      'entered.$': '$$.State.EnteredTime',
      'retries.$': '$$.State.RetryCount',
    },
  })
  const map = (Mode: string) => ({
    StartAt: Mode,
    States: {
      [Mode]: {
        Type: 'Map',
        ItemsPath: '$.items',
        ItemProcessor: {
          ProcessorConfig: { Mode },
          StartAt: `Look ${Mode}`,
          States: { [`Look ${Mode}`]: look },
        },
        End: true,
      },
    },
  })
  const branches = [{ StartAt: 'Look', States: { Look: look } }, map('INLINE'), map('DISTRIBUTED')]
  const states = { All: { Type: 'Parallel', Branches: branches, End: true } }
  const { run } = await serve(states, { echo: (event) => event })
  const { result, executionArn, startDate } = await run({ items: ['item'] }, 'context')
  const [branch, [inline], [child]] = result as [Seen, [Seen], [Seen]]
  const own = {
    id: executionArn,
    name: 'context',
    input: { items: ['item'] },
    started: startDate?.toISOString(),
    retries: 0,
  }
  expect(branch).toMatchObject({ ...own, text: 'Look in taskmaster-reset' })
  expect(inline).toMatchObject({ ...own, text: 'Look INLINE in taskmaster-reset' })
  expect(child).toMatchObject({ input: 'item', id: expect.stringContaining('taskmaster-reset/DISTRIBUTED:') })
  expect(child.name).not.toBe('context')
  expect(Date.parse(branch.entered)).toBeGreaterThanOrEqual(Date.parse(branch.started))
})

test('choices, waits and values that the interpreter gets wrong by itself are as on AWS', async () => {
  const states = {
    Zero: { Type: 'Pass', Result: 0, ResultPath: '$.zero', Next: 'Whole' },
    Whole: task('add', { ResultPath: '$', Next: 'Wait' }),
    Wait: { Type: 'Wait', Seconds: 3_600, Next: 'Choose' },
    Choose: {
      Type: 'Choice',
      Choices: [{ Variable: '$.zero', NumericEquals: 0, Next: 'Done' }],
      Default: 'Wrong',
    },
    Done: { Type: 'Succeed' },
    Wrong: { Type: 'Fail', Error: 'Wrong', Cause: 'zero was lost' },
  }
  const { run } = await serve(states, { add: (event) => ({ ...(event as object), added: true }) })
  expect((await run({ a: 1 })).result).toEqual({ a: 1, zero: 0, added: true })
})

test('a Fail state ends the execution with its error and cause', async () => {
  const { run } = await serve({ Stop: { Type: 'Fail', Error: 'ResetFailed', Cause: 'as told' } })
  expect(await run()).toMatchObject({ status: 'FAILED', error: 'ResetFailed', cause: 'as told' })
})

test('an execution that takes longer than the machine allows has timed out', async () => {
  const definition = { StartAt: 'Hold', TimeoutSeconds: 1, States: { Hold: task('hold') } }
  const { run } = await serve(definition, {
    hold: () => new Promise((resolve) => setTimeout(resolve, 1_200)),
  })
  expect(await run()).toMatchObject({ status: 'TIMED_OUT', error: 'States.Timeout' })
})

test('lambda:invoke wraps the input and the result as on AWS', async () => {
  const Resource = 'arn:aws:states:::lambda:invoke'
  const states = {
    Call: task('', {
      Resource,
      Parameters: { FunctionName: 'echo', 'Payload.$': '$' },
      OutputPath: '$.Payload',
    }),
  }
  const { run, client } = await serve(states, { echo: (event) => ({ echo: event }) })
  const { result, executionArn } = await run({ a: 1 })
  expect(result).toEqual({ echo: { a: 1 } })
  const { events = [] } = await client.send(new GetExecutionHistoryCommand({ executionArn }))
  expect(events.map(({ type }) => type)).toContain('TaskSucceeded')
})

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are CloudFormation's placeholders.
test('placeholders for functions are filled, others are refused', () => {
  const text = JSON.stringify({
    StartAt: 'A',
    States: { A: { Type: 'Task', Resource: '${CountFunctionArn}', End: true } },
  })
  expect(readDefinition(text).States.A?.Resource).toBe('arn:aws:lambda:us-east-1:000000000000:function:count')
  expect(() => readDefinition(text.replace('CountFunctionArn', 'Bucket'))).toThrow('${Bucket}')
})
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above.

test('what would run differently here than on AWS is refused by the name of its state', () => {
  const inMap = (States: Record<string, { Type: string; [field: string]: unknown }>) => ({
    StartAt: 'Each',
    States: { Each: { Type: 'Map', ItemProcessor: { StartAt: 'One', States }, End: true } },
  })
  const functions = ['count']
  expect(() => assertRunsHere(inMap({ One: task('count') }), functions)).not.toThrow()
  expect(() => assertRunsHere(inMap({ One: task('other') }), functions)).toThrow(
    '"One" calls the function "other"',
  )
  expect(() => assertRunsHere(inMap({ One: task('count', { Assign: {} }) }), functions)).toThrow(
    '"One" has Assign',
  )
  const reader = {
    Type: 'Map',
    ItemReader: {},
    ItemProcessor: { StartAt: 'One', States: { One: task('count') } },
  }
  expect(() => assertRunsHere({ StartAt: 'Each', States: { Each: reader } }, functions)).toThrow(
    '"Each" has ItemReader',
  )
  const sns = task('', { Resource: 'arn:aws:states:::sns:publish' })
  expect(() => assertRunsHere({ StartAt: 'A', States: { A: sns } }, functions)).toThrow(
    'arn:aws:states:::sns:publish',
  )
})

type Seen = {
  id: string
  name: string
  input: unknown
  started: string
  text: string
  entered: string
  retries: number
}
