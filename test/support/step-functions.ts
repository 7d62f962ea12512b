import { type DescribeExecutionOutput, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { afterEach } from 'vitest'
import { MACHINE_ARN } from '../../local/machine/arn.ts'
import type { Definition, State } from '../../local/machine/definition.ts'
import {
  type StepFunctionsEndpoint,
  type StepFunctionsOptions,
  startStepFunctions,
} from '../../local/machine/step-functions.ts'
import { endOfExecution } from './end-of-execution.ts'

export type TestMachine = {
  client: SFNClient
  endpoint: StepFunctionsEndpoint
  /** Runs an execution to its end. */
  run(input?: unknown, name?: string): Promise<DescribeExecutionOutput & { name: string; result: unknown }>
  stop(): Promise<void>
}

/** A Task on the function of that name. */
export function task(functionName: string, fields: Partial<State> = {}): State {
  const next = 'Next' in fields ? {} : { End: true }
  return {
    Type: 'Task',
    Resource: `arn:aws:lambda:us-east-1:000000000000:function:${functionName}`,
    ...next,
    ...fields,
  }
}

/** What serves a definition by the endpoint that the product talks to, and by the same SDK client, until the test has ended. */
export function useMachines(): (...parameters: Parameters<typeof testMachine>) => Promise<TestMachine> {
  const machines: TestMachine[] = []
  afterEach(async () => {
    for (const machine of machines.splice(0)) await machine.stop()
  })
  return async (...parameters) => {
    const machine = await testMachine(...parameters)
    machines.push(machine)
    return machine
  }
}

async function testMachine(
  states: Definition['States'] | Definition,
  functions: StepFunctionsOptions['functions'] = {},
  options: Partial<StepFunctionsOptions> = {},
): Promise<TestMachine> {
  const definition = isDefinition(states) ? states : { StartAt: Object.keys(states)[0] ?? '', States: states }
  const endpoint = await startStepFunctions({ definition, functions, retryIntervals: 1, ...options })
  const client = new SFNClient({
    endpoint: endpoint.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  })

  async function run(input: unknown = {}, name?: string) {
    const request = { stateMachineArn: MACHINE_ARN, input: JSON.stringify(input), name }
    const { executionArn } = await client.send(new StartExecutionCommand(request))
    const described = await endOfExecution(client, endpoint, executionArn)
    const { output, name: given = '' } = described
    return { ...described, name: given, result: output === undefined ? undefined : JSON.parse(output) }
  }

  async function stop(): Promise<void> {
    client.destroy()
    await endpoint.stop()
  }
  return { client, endpoint, run, stop }
}

function isDefinition(value: Definition['States'] | Definition): value is Definition {
  return typeof value.StartAt === 'string'
}
