import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { namesOfFunctions } from '../../local/functions.ts'
import { MACHINE_ARN, REGION } from '../../local/machine/arn.ts'
import { readDefinition } from '../../local/machine/definition.ts'
import { startStepFunctions } from '../../local/machine/step-functions.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { invoke, type Measured } from './invoke.ts'

/** One invocation of a run. */
export type Step = Measured & {
  /** The function, with what of its input says which state it is: `export database`. */
  name: string
}

export type Run = { outcome: { backupId: string | null }; steps: Step[]; startedAt: number; endedAt: number }

export type Machine = { url: string; run(request: object): Promise<Run>; stop(): Promise<void> }

/** The product's state machine, in this process, with every function in a process of its own. */
export async function startMachine(
  bundleOf: (name: string) => string,
  env: Record<string, string>,
): Promise<Machine> {
  const steps: Step[] = []
  const handlers = (await namesOfFunctions()).map((name): [string, Handler] => [
    name,
    async (event, { getRemainingTimeInMillis: _, ...context }) => {
      const { result, measured } = await invoke(bundleOf(name), env, event, context)
      steps.push({ name: labelOf(name, event), ...measured })
      return result
    },
  ])
  const definition = readDefinition(
    await readFile(new URL('../../state-machine.asl.json', import.meta.url), 'utf8'),
  )
  const machine = await startStepFunctions({ definition, functions: Object.fromEntries(handlers) })
  const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' }
  const client = new SFNClient({ endpoint: machine.url, region: REGION, credentials })

  async function run(request: object): Promise<Run> {
    steps.length = 0
    const name = randomUUID()
    const startedAt = Date.now()
    const input = JSON.stringify({ requestedBy: 'npm run bench', ...request })
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn: MACHINE_ARN, name, input }),
    )
    await machine.ended(name)
    const endedAt = Date.now()
    const { status, output, error, cause } = await client.send(new DescribeExecutionCommand({ executionArn }))
    if (status !== 'SUCCEEDED')
      throw new Error(`The run of ${input} ended with ${status}: ${error} ${cause ?? ''}`)
    return { outcome: JSON.parse(output ?? 'null'), steps: [...steps], startedAt, endedAt }
  }
  async function stop(): Promise<void> {
    client.destroy()
    await machine.stop()
  }
  return { url: machine.url, run, stop }
}

function labelOf(name: string, event: unknown): string {
  const { target, purpose } = event as { target?: string; purpose?: string }
  return [name, target, purpose].filter((word) => word !== undefined).join(' ')
}
