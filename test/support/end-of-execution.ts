import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  type SFNClient,
} from '@aws-sdk/client-sfn'
import type { StepFunctionsEndpoint } from '../../local/machine/step-functions.ts'

/** Waits for the end of an execution of the embedded machine without asking for it again and again; tells how it ended. */
export async function endOfExecution(
  client: SFNClient,
  machine: Pick<StepFunctionsEndpoint, 'ended'> | undefined,
  executionArn: string | undefined,
): Promise<DescribeExecutionCommandOutput> {
  if (machine === undefined) throw new Error('The tests need the embedded state machine.')
  await machine.ended(executionArn?.split(':').at(-1) ?? '')
  return client.send(new DescribeExecutionCommand({ executionArn }))
}
