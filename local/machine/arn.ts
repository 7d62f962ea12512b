/** The account and Region of the embedded stack; AWS has no account of zeros, so these can never mean a real resource. */
export const REGION = 'us-east-1'
export const ACCOUNT = '000000000000'
export const MACHINE_NAME = 'taskmaster-reset'

const PREFIX = `arn:aws:states:${REGION}:${ACCOUNT}`

export const MACHINE_ARN = `${PREFIX}:stateMachine:${MACHINE_NAME}`
export const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/${MACHINE_NAME}`

export function executionArn(name: string): string {
  return `${PREFIX}:execution:${MACHINE_NAME}:${name}`
}

/** A child of a Distributed Map is an execution of its own, named under the Map's label. */
export function childExecutionArn(label: string, name: string): string {
  return `${PREFIX}:execution:${MACHINE_NAME}/${label}:${name}`
}

export function mapRunArn(label: string, id: string): string {
  return `${PREFIX}:mapRun:${MACHINE_NAME}/${label}:${id}`
}
