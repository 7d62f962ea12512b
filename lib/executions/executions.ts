import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn'
import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { InvalidConfiguration, messageOf, StoreUnavailable } from '../errors.ts'

type Tools = Pick<Clients, 'sfn' | 'config'>

/** The state machine that carries out the runs. @throws InvalidConfiguration when none is configured */
export function machineArnOf({ STATE_MACHINE_ARN }: Config): string {
  if (STATE_MACHINE_ARN !== undefined) return STATE_MACHINE_ARN
  throw new InvalidConfiguration(
    'STATE_MACHINE_ARN is missing, so no run can be started or stopped. Set it to the ARN of the state machine',
  )
}

/** A run's id is its execution's name, so that the one is found by the other. */
export function executionArn(machineArn: string, runId: string): string {
  return `${machineArn.replace(':stateMachine:', ':execution:')}:${runId}`
}

/**
 * Starts the execution of a run. The same id with the same input is the same execution while it runs.
 * @returns false when the id is taken: by another input, or by an execution that is over
 * @throws StoreUnavailable, InvalidConfiguration
 */
export async function startExecution(
  { sfn, config }: Tools,
  runId: string,
  input: unknown,
): Promise<boolean> {
  const stateMachineArn = machineArnOf(config)
  try {
    await sfn.send(new StartExecutionCommand({ stateMachineArn, name: runId, input: JSON.stringify(input) }))
    return true
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'ExecutionAlreadyExists') return false
    throw machineError(stateMachineArn, thrown)
  }
}

/**
 * What Step Functions knows of a run's execution; undefined when it knows none, or no longer: it forgets after 90 days.
 * @throws StoreUnavailable, InvalidConfiguration
 */
export async function findExecution(
  { sfn, config }: Tools,
  runId: string,
): Promise<DescribeExecutionCommandOutput | undefined> {
  const machineArn = machineArnOf(config)
  try {
    return await sfn.send(new DescribeExecutionCommand({ executionArn: executionArn(machineArn, runId) }))
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'ExecutionDoesNotExist') return undefined
    throw machineError(machineArn, thrown)
  }
}

/**
 * Ends a run's execution as ABORTED; one that is over, or that Step Functions has forgotten, is left as it is.
 * What a function does at that moment goes on: see cancelRun.
 * @throws StoreUnavailable, InvalidConfiguration
 */
export async function stopExecution(
  { sfn, config }: Tools,
  runId: string,
  { error, cause }: { error: string; cause: string },
): Promise<void> {
  const machineArn = machineArnOf(config)
  try {
    await sfn.send(new StopExecutionCommand({ executionArn: executionArn(machineArn, runId), error, cause }))
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'ExecutionDoesNotExist') return
    throw machineError(machineArn, thrown)
  }
}

/** What Step Functions answered, as one of our errors. */
export function machineError(machineArn: string, cause: unknown): Error {
  const message = `The state machine ${machineArn} cannot be used: ${messageOf(cause)}`
  const name = cause instanceof Error ? cause.name : ''
  return ['StateMachineDoesNotExist', 'InvalidArn'].includes(name)
    ? new InvalidConfiguration(`${message}. Correct STATE_MACHINE_ARN`, { cause })
    : new StoreUnavailable(`${message}. Check that it runs and that you may use it`, { cause })
}
