import { z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import { type ErrorKind, InvalidRequest, messageOf, ResetError, RunActive } from '../errors.ts'
import { Forbidden, InvalidInput, Refused, UnsupportedMediaType } from './errors.ts'

/** What every refusal and failure is answered with: RFC 9457, `application/problem+json`. */
export const Problem = z
  .strictObject({
    type: z.string().meta({ example: 'urn:taskmaster-reset:problem:RunActive' }),
    title: z.string().meta({ description: "The error's name, as in the ledger", example: 'RunActive' }),
    status: z.int().meta({ example: 409 }),
    detail: z.string().meta({ description: 'What failed, why, and what to do' }),
    instance: z.string().meta({ description: 'The path that was asked', example: '/v1/runs' }),
    activeRunId: z.string().optional().meta({ description: 'Of RunActive: the run in the way' }),
    requiredScope: z.string().optional().meta({ description: 'Of Forbidden: the scope the token lacks' }),
    issues: z
      .array(z.strictObject({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'Of InvalidRequest: what is wrong with each key' }),
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
  TooLateToCancel: 409,
  RunEnded: 409,
  BodyTooLarge: 413,
  UnsupportedMediaType: 415,
  IdempotencyConflict: 422,
  BackupTooNew: 422,
  InvalidConfiguration: 500,
  NotPermitted: 500,
  DatabaseBusy: 503,
  StoreUnavailable: 503,
}

/** The problem that an error is told as. The message of one that is not ours stays in the log: it may hold anything. */
export function problemOf(
  thrown: unknown,
  { instance, requestId }: { instance: string; requestId: string },
): Problem {
  const error = ourError(thrown)
  if (error === undefined) {
    return {
      type: 'urn:taskmaster-reset:problem:UnexpectedError',
      title: 'UnexpectedError',
      status: 500,
      detail: `The API failed in a way that nobody foresaw. Look for the request ${requestId} in its log, and whether a run was started (GET /v1/runs) before you try again`,
      instance,
    }
  }
  return {
    type: `urn:taskmaster-reset:problem:${error.name}`,
    title: error.name,
    status: statusOf(error),
    detail: error.message,
    instance,
    ...(error instanceof RunActive && { activeRunId: error.activeRunId }),
    ...(error instanceof Forbidden && { requiredScope: error.requiredScope }),
    ...(error instanceof InvalidInput && { issues: error.issues }),
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
