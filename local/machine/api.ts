import { MACHINE_ARN, MACHINE_NAME, ROLE_ARN } from './arn.ts'
import type { Definition } from './definition.ts'
import { ApiError, type Execution, type Executions } from './executions.ts'

export type Operation = (request: Record<string, unknown>) => Record<string, unknown>

const ARN = /^arn:[^:]+:states:[^:]+:\d{12}:(stateMachine|execution):/
const DEFAULT_PAGE = 100
const MAX_PAGE = 1_000

/** What each operation of the Step Functions API answers. Times are seconds, as the protocol has them. */
export function operations(executions: Executions, definition: Definition): Record<string, Operation> {
  const created = new Date()

  function find(request: Record<string, unknown>): Execution {
    const arn = textOf(request, 'executionArn')
    if (!ARN.test(arn)) throw new ApiError('InvalidArn', `Invalid Arn: '${arn}'`)
    const execution = executions.all().find((candidate) => candidate.arn === arn)
    if (!execution) throw new ApiError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`)
    return execution
  }

  return {
    StartExecution(request) {
      assertMachine(request)
      const { name, input } = request
      const execution = executions.start(typeof name === 'string' ? name : undefined, String(input ?? '{}'))
      return { executionArn: execution.arn, startDate: seconds(execution.startDate) }
    },

    StopExecution(request) {
      const execution = find(request)
      execution.stop(optionalText(request, 'error'), optionalText(request, 'cause'))
      return { stopDate: seconds(execution.stopDate) }
    },

    DescribeExecution(request) {
      const execution = find(request)
      const { input, output, error, cause } = execution
      const details = {
        inputDetails: { included: true },
        ...(output ? { outputDetails: { included: true } } : {}),
      }
      return { ...summary(execution), input, output, error, cause, ...details }
    },

    ListExecutions(request) {
      assertMachine(request)
      const { statusFilter } = request
      const before = fromToken(request, Number.POSITIVE_INFINITY)
      const found = executions
        .all()
        .filter(({ number, status }) => number < before && (!statusFilter || status === statusFilter))
      const size = pageSize(request)
      const page = found.slice(0, size)
      const more = found.length > size ? { nextToken: toToken(page.at(-1)?.number) } : {}
      return { executions: page.map(summary), ...more }
    },

    GetExecutionHistory(request) {
      const { events } = find(request).history
      const ordered = request.reverseOrder === true ? events.toReversed() : events
      const from = fromToken(request, 0)
      const to = from + pageSize(request)
      const page = ordered.slice(from, to).map((event) => ({ ...event, timestamp: seconds(event.timestamp) }))
      return { events: page, ...(ordered.length > to ? { nextToken: toToken(to) } : {}) }
    },

    DescribeStateMachine(request) {
      assertMachine(request)
      return {
        stateMachineArn: MACHINE_ARN,
        name: MACHINE_NAME,
        status: 'ACTIVE',
        definition: JSON.stringify(definition),
        roleArn: ROLE_ARN,
        type: 'STANDARD',
        creationDate: seconds(created),
      }
    },
  }
}

function summary(execution: Execution): Record<string, unknown> {
  const { arn, name, status, startDate, stopDate } = execution
  return {
    executionArn: arn,
    stateMachineArn: MACHINE_ARN,
    name,
    status,
    startDate: seconds(startDate),
    stopDate: seconds(stopDate),
    redriveCount: 0,
  }
}

function assertMachine(request: Record<string, unknown>): void {
  const arn = textOf(request, 'stateMachineArn')
  if (!ARN.test(arn)) throw new ApiError('InvalidArn', `Invalid Arn: '${arn}'`)
  if (arn !== MACHINE_ARN) {
    throw new ApiError(
      'StateMachineDoesNotExist',
      `State Machine Does Not Exist: '${arn}'; here is ${MACHINE_ARN}`,
    )
  }
}

function textOf(request: Record<string, unknown>, field: string): string {
  const value = request[field]
  if (typeof value === 'string' && value !== '') return value
  throw new ApiError(
    'ValidationException',
    `1 validation error detected: '${field}' must be a string and not empty`,
  )
}

function optionalText(request: Record<string, unknown>, field: string): string | undefined {
  return request[field] === undefined ? undefined : String(request[field])
}

function pageSize(request: Record<string, unknown>): number {
  const wanted = Number(request.maxResults ?? 0)
  return wanted > 0 ? Math.min(wanted, MAX_PAGE) : DEFAULT_PAGE
}

function toToken(position: number | undefined): string {
  return Buffer.from(String(position)).toString('base64url')
}

function fromToken(request: Record<string, unknown>, start: number): number {
  if (request.nextToken === undefined) return start
  const position = Number(Buffer.from(String(request.nextToken), 'base64url').toString())
  if (Number.isInteger(position)) return position
  throw new ApiError('InvalidToken', `Invalid Token: '${request.nextToken}'`)
}

function seconds(date: Date | undefined): number | undefined {
  return date && date.getTime() / 1_000
}
