import type * as z from 'zod'
import type { Scope } from '../config/values.ts'
import { InvalidRequest, NotFound, ResetError, UnknownBackup } from '../errors.ts'

// Errors that only the HTTP API has: they come before a run, so the state machine never sees them.

/** There is no token, or none that is known. */
export class Unauthorized extends ResetError {
  override readonly name = 'Unauthorized'
  readonly kind = 'guard'
  readonly hadToken: boolean
  constructor(message: string, { hadToken }: { hadToken: boolean }) {
    super(message)
    this.hadToken = hadToken
  }
}

/** The token is known, but lacks the scope of what it asks for. */
export class Forbidden extends ResetError {
  override readonly name = 'Forbidden'
  readonly kind = 'guard'
  /** undefined: which of several it needs is only known to who has one of them. */
  readonly requiredScope: Scope | undefined
  constructor(token: string, ...scopes: readonly [Scope, ...Scope[]]) {
    const needed = scopes.length > 1 ? `each of the scopes ${scopes.join(', ')}` : `the scope "${scopes[0]}"`
    super(
      `The token "${token}" lacks ${needed}, which this needs. Nothing was touched; use a token that has it, or make one: npm run -s cli -- token <name> --scopes ${scopes[0]}`,
    )
    this.requiredScope = scopes.length > 1 ? undefined : scopes[0]
  }
}

/** The address or method is not one of the API's. */
export class NoSuchRoute extends ResetError {
  override readonly name = 'NoSuchRoute'
  readonly kind = 'request'
}

/** The address takes other methods; `allowed` lists them, as the header Allow does. */
export class MethodNotAllowed extends ResetError {
  override readonly name = 'MethodNotAllowed'
  readonly kind = 'request'
  readonly allowed: string
  constructor(method: string, path: string, allowed: string) {
    super(
      `${beginning(path)} cannot be asked with ${method}. Nothing was touched; it takes ${allowed}, and /v1/openapi.json says for what`,
    )
    this.allowed = allowed
  }
}

/** A token, or an address without one, asks more often than it may. */
export class TooManyRequests extends ResetError {
  override readonly name = 'TooManyRequests'
  readonly kind = 'busy'
  readonly seconds: number
  constructor(who: string, { burst, perSecond }: { burst: number; perSecond: number }, seconds: number) {
    super(
      `${who} asks too often: ${burst} times at once and ${perSecond} times a second are let through. Nothing was touched; try again in ${seconds} s`,
    )
    this.seconds = seconds
  }
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

/** How many things that are wrong are told, of which each may repeat what was sent. */
const issuesTold = 20

/** The beginning of what a caller sent, for a message: the answer must not be larger than the question. */
export function beginning(text: string, length = 200): string {
  return text.length <= length ? text : `${text.slice(0, length).toWellFormed()}…`
}

/** The body or a parameter does not fit the route's schema; `issues` says what is wrong, `moreIssues` how many it leaves out. */
export class InvalidInput extends InvalidRequest {
  readonly issues: { path: string; message: string }[]
  readonly moreIssues: number
  constructor(error: Pick<z.ZodError, 'issues'>) {
    const issues = error.issues.slice(0, issuesTold).map(({ path, message }) => ({
      path: beginning(path.join('.')) || 'request',
      message: beginning(message),
    }))
    const problems = issues.slice(0, 5).map(({ path, message }) => `${path}: ${message}`)
    const more = error.issues.length - problems.length
    super(
      `The request is wrong: ${problems.join('; ')}${more > 0 ? `; and ${more} more` : ''}. Nothing was touched; /v1/openapi.json describes a right one`,
    )
    this.issues = issues
    this.moreIssues = error.issues.length - issues.length
  }
}

/** What the body names was refused for a reason that elsewhere is a 404: the request cannot be carried out. */
export class Refused extends ResetError {
  override readonly name: string
  readonly kind = 'guard'
  constructor(cause: ResetError) {
    super(cause.message, { cause })
    this.name = cause.name
  }
}

/**
 * Passes on what a start refuses; a backup that the body names and that is not there is then a 422 as well.
 * @throws Refused
 */
export async function refusing<Result>(start: Promise<Result>): Promise<Result> {
  try {
    return await start
  } catch (error) {
    if (error instanceof NotFound || error instanceof UnknownBackup) throw new Refused(error)
    throw error
  }
}
