import type { z } from '@hono/zod-openapi'
import type { Scope } from '../config.ts'
import { BackupDamaged, InvalidRequest, NotFound, ResetError } from '../errors.ts'

// Errors that only the HTTP API has: they come before a run, so the state machine never sees them.

/** There is no token, or none that is known. */
export class Unauthorized extends ResetError {
  override readonly name = 'Unauthorized'
  readonly kind = 'guard'
}

/** The token is known, but lacks the scope of what it asks for. */
export class Forbidden extends ResetError {
  override readonly name = 'Forbidden'
  readonly kind = 'guard'
  readonly requiredScope: Scope
  constructor(token: string, requiredScope: Scope) {
    super(
      `The token "${token}" lacks the scope "${requiredScope}", which this needs. Nothing was touched; use a token that has it, or make one: npm run cli -- token <name> --scopes ${requiredScope}`,
    )
    this.requiredScope = requiredScope
  }
}

/** The address or method is not one of the API's. */
export class NoSuchRoute extends ResetError {
  override readonly name = 'NoSuchRoute'
  readonly kind = 'request'
}

/** The body has more bytes than are read. */
export class BodyTooLarge extends ResetError {
  override readonly name = 'BodyTooLarge'
  readonly kind = 'request'
}

/** The body is not sent as JSON. */
export class UnsupportedMediaType extends ResetError {
  override readonly name = 'UnsupportedMediaType'
  readonly kind = 'request'
}

/** The body or a parameter does not fit the route's schema; `issues` has one entry for each thing that is wrong. */
export class InvalidInput extends InvalidRequest {
  readonly issues: { path: string; message: string }[]
  constructor(error: Pick<z.ZodError, 'issues'>) {
    const issues = error.issues.map(({ path, message }) => ({ path: path.join('.') || 'request', message }))
    const problems = issues.map(({ path, message }) => `${path}: ${message}`).join('; ')
    super(`The request is wrong: ${problems}. Nothing was touched; /v1/openapi.json describes a right one`)
    this.issues = issues
  }
}

/** What the body names was refused for a reason that elsewhere is a 404 or a 500: the request cannot be carried out. */
export class Refused extends ResetError {
  override readonly name: string
  readonly kind = 'guard'
  constructor(cause: ResetError) {
    super(cause.message, { cause })
    this.name = cause.name
  }
}

/**
 * Passes on what a start refuses; a backup that the body names and that cannot be used is then a 422 as well.
 * @throws Refused
 */
export async function refusing<Result>(start: Promise<Result>): Promise<Result> {
  try {
    return await start
  } catch (error) {
    if (error instanceof NotFound || error instanceof BackupDamaged) throw new Refused(error)
    throw error
  }
}
