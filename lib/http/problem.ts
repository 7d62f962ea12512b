import '@hono/zod-openapi' // every schema has .openapi() from here on
import { HTTPException } from 'hono/http-exception'
import * as z from 'zod'
import { type ErrorKind, InvalidRequest, messageOf, ResetError, RunActive } from '../errors.ts'
import { storable } from '../postgres/storable.ts'
import {
  beginning,
  Forbidden,
  InvalidInput,
  MethodNotAllowed,
  Refused,
  UnsupportedMediaType,
} from './errors.ts'
import { challengeOf } from './request/challenge.ts'
import { retryAfter } from './request/retry-after.ts'

/** What every refusal and failure is answered with: RFC 9457, `application/problem+json`. */
export const Problem = z
  .strictObject({
    type: z.string().meta({
      description: "Where the runbook's paragraph on it can be read, at this service",
      example: '/problems/RunActive',
    }),
    title: z.string().meta({ description: "The error's name, as in the ledger", example: 'RunActive' }),
    status: z.int().meta({ example: 409 }),
    detail: z.string().meta({ description: 'What failed, why, and what to do' }),
    instance: z.string().meta({ description: 'The path that was asked', example: '/v1/runs' }),
    requestId: z
      .string()
      .meta({ description: 'As in the header X-Request-Id and in the log', example: 'Nf3xJh2PliAEJwg=' }),
    activeRunId: z.string().optional().meta({ description: 'Of RunActive: the run in the way' }),
    requiredScope: z.string().optional().meta({ description: 'Of Forbidden: the scope the token lacks' }),
    issues: z
      .array(z.strictObject({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'Of InvalidRequest: what is wrong, at most 20 things' }),
    moreIssues: z.int().optional().meta({ description: 'Of InvalidRequest: how many more there are' }),
  })
  .openapi('Problem')
export type Problem = z.output<typeof Problem>

const statusOfKind: Record<ErrorKind, number> = { request: 400, guard: 422, busy: 409, failure: 500 }

/** Where the kind alone does not say it. */
const statusOfName: Record<string, number> = {
  Unauthorized: 401,
  Forbidden: 403,
  NoSuchRoute: 404,
  NotFound: 404,
  UnknownBackup: 404,
  MethodNotAllowed: 405,
  AmbiguousBackup: 409,
  LabelRefused: 409,
  LabelMoved: 409,
  TooLateToCancel: 409,
  RunEnded: 409,
  RunStarting: 409,
  BodyTooLarge: 413,
  UnsupportedMediaType: 415,
  IdempotencyConflict: 422,
  TooManyRequests: 429,
  BackupDamaged: 422,
  BackupTooNew: 422,
  NotComparable: 422,
  InvalidConfiguration: 500,
  NotPermitted: 500,
  DatabaseBusy: 503,
  StoreUnavailable: 503,
}

type ProblemOrigin = { instance: string; requestId: string }

/** The answer to a request that was refused or failed. */
export function problemResponse(thrown: unknown, origin: ProblemOrigin): Response {
  const problem = problemOf(thrown, origin)
  const seconds = retryAfter(thrown, problem.status)
  return new Response(JSON.stringify(storable(problem)), {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      'x-request-id': origin.requestId,
      ...challengeOf(thrown),
      ...(thrown instanceof MethodNotAllowed && { allow: thrown.allowed }),
      ...(seconds !== null && { 'retry-after': String(seconds) }),
    },
  })
}

/** Characters of a message that are told; the log has all of it. */
const detailMax = 8000

/** The problem that an error is told as. The message of one that is not ours stays in the log: it may hold anything. */
function problemOf(thrown: unknown, { instance, requestId }: ProblemOrigin): Problem {
  const error = ourError(thrown)
  const about = { instance: beginning(instance, 1000), requestId }
  if (error === undefined) {
    return {
      type: '/problems/UnexpectedError',
      title: 'UnexpectedError',
      status: 500,
      detail: `The API failed in a way that nobody foresaw. Look for the request ${requestId} in its log, and whether a run was started (GET /v1/runs) before you try again`,
      ...about,
    }
  }
  return {
    type: `/problems/${error.name}`,
    title: error.name,
    status: statusOf(error),
    detail: beginning(error.message, detailMax),
    ...about,
    ...(error instanceof RunActive && { activeRunId: error.activeRunId }),
    ...(error instanceof Forbidden && error.requiredScope && { requiredScope: error.requiredScope }),
    ...(error instanceof InvalidInput && { issues: error.issues }),
    ...(error instanceof InvalidInput && error.moreIssues > 0 && { moreIssues: error.moreIssues }),
  }
}

function statusOf(error: ResetError): number {
  const byKind = statusOfKind[error.kind]
  return error instanceof Refused ? byKind : (statusOfName[error.name] ?? byKind)
}

/** Hono refuses other media types and broken JSON by itself. */
function ourError(thrown: unknown): ResetError | undefined {
  if (thrown instanceof ResetError) return thrown
  if (!(thrown instanceof HTTPException)) return undefined
  if (thrown.status === 415) {
    return new UnsupportedMediaType(
      'The body is not sent as JSON. Nothing was touched; say "Content-Type: application/json"',
    )
  }
  return new InvalidRequest(
    `${messageOf(thrown)}. Nothing was touched; send JSON as /v1/openapi.json describes it`,
  )
}
