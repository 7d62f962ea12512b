import * as z from 'zod'
import { BackupDamaged, BackupTooNew, messageOf } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Authenticity, SigningKey } from '../../signature.ts'
import { checkSeal } from '../digest.ts'
import type { Late, Manifest } from '../manifest.ts'
import { firstIssues } from './first-issues.ts'
import { type HasTime, NoTime } from './in-time.ts'
import { documentBounds, parseJson, TooMuch } from './json.ts'
import { readText } from './read.ts'

/** The current format of manifests and late files; documents say theirs in `version`. */
const currentVersion = 2

/** Of what is told of a document: it may repeat what somebody put into it, who wants the text too long for whatever tells it. */
function beginningOf(problem: string): string {
  return problem.slice(0, 500).toWellFormed()
}

/** A manifest or a late file is not what was written; `key` is the object's. */
export class DocumentDamaged extends BackupDamaged {
  readonly key: string
  constructor({ name: bucket }: Bucket, key: string, problem: string, options?: ErrorOptions) {
    super(
      `s3://${bucket}/${key} is damaged: ${beginningOf(problem)}. Use another backup, or bring back an earlier version of the object`,
      options,
    )
    this.key = key
  }
}

/** A manifest or a late file that is what its digest and its signature say. */
export type Read<Document> = { document: Document; sha256: string; authentic: Authenticity }

/** Where a document was read: what errors call it, and what is thrown of one that is not what was written. */
type Place = {
  where: string
  signing: readonly SigningKey[]
  damaged: (problem: string, options?: ErrorOptions) => BackupDamaged
}

/**
 * Reads a manifest or a late file by itself: what it says is not compared with anything else.
 * @throws NotFound, BackupDamaged, BackupTooNew; NoTime when it is not to be parsed any more
 */
export async function readDocument<Schema extends z.ZodType<Manifest | Late>>(
  bucket: Bucket,
  key: string,
  schema: Schema,
  hasTime: HasTime = () => true,
): Promise<Read<z.output<Schema>>> {
  const place: Place = {
    where: `s3://${bucket.name}/${key}`,
    signing: bucket.signing ?? [],
    damaged: (problem, options) => new DocumentDamaged(bucket, key, problem, options),
  }
  try {
    const { text, sha256 } = await readText(bucket, key, documentBounds)
    if (!hasTime()) throw new NoTime()
    return { ...parseDocument(text, schema, place), sha256 }
  } catch (cause) {
    if (cause instanceof TooMuch) throw place.damaged(cause.message, { cause })
    throw cause
  }
}

/**
 * The same of a text that was read already. Digest and signature come first, because to look at all that a document holds takes ten
 * times what they take, and anybody may have made it.
 * @throws BackupTooNew, and what `damaged` gives
 */
export function parseDocument<Schema extends z.ZodType<Manifest | Late>>(
  text: string,
  schema: Schema,
  place: Place,
): Omit<Read<z.output<Schema>>, 'sha256'> {
  const json = jsonIn(text, place)
  // Before the schema, which would only say that it knows no such fields.
  const { data: newer } = z.object({ version: z.number().gt(currentVersion) }).safeParse(json)
  if (newer !== undefined)
    throw tooNew(place, `has the version ${newer.version}, but this tool reads ${currentVersion}`)
  const seal = checkSeal(place.signing, json)
  if (seal.digest === 'wrong') throw place.damaged('it is not what its own digest was made of')
  const { authentic } = seal
  if (authentic === 'forged')
    throw place.damaged('its signature is not that of what it says: somebody edited it')
  const first = authentic === 'signed' ? [] : firstIssues(schema, json)
  const parsed = first.length > 0 ? null : schema.safeParse(json)
  if (parsed?.success) return { document: parsed.data, authentic }
  const issues = parsed?.error.issues ?? first
  const unknown = unknownMembers(issues)
  if (seal.digest === 'right' && issues.length === unknown.length && isCurrent(json))
    throw tooNew(place, `has members that this tool does not know (${unknown.slice(0, 3).join(', ')})`)
  const problems = issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`)
  throw place.damaged(firstOf(problems).join('; '))
}

/** To version 1 nothing is added any more; to this one later tools may add, and what that means is not known here. */
function isCurrent(json: unknown): boolean {
  return z.object({ version: z.literal(currentVersion) }).safeParse(json).success
}

function unknownMembers(issues: z.ZodError['issues']): string[] {
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? [[...issue.path, issue.keys[0]].join('.')] : [],
  )
}

function tooNew({ where }: Place, what: string): BackupTooNew {
  return new BackupTooNew(`${where} ${beginningOf(what)}: it was made by a newer version. Update the tool`)
}

function jsonIn(text: string, { damaged }: Place): unknown {
  try {
    return parseJson(text, documentBounds)
  } catch (cause) {
    if (cause instanceof TooMuch) throw damaged(cause.message, { cause })
    if (!(cause instanceof SyntaxError)) throw cause
    throw damaged(`it is not JSON (${messageOf(cause)})`, { cause })
  }
}

/** Throws what says which problems there are. */
export function refuse(bucket: Bucket, key: string, problems: Iterable<string>): void {
  const first = firstOf(problems)
  if (first.length > 0) throw new DocumentDamaged(bucket, key, first.join('; '))
}

/** Three problems say enough; a table that is missing makes hundreds. */
export function firstOf(problems: Iterable<string>): string[] {
  const first: string[] = []
  for (const problem of problems) if (first.push(problem) === 3) break
  return first
}
