import * as z from 'zod'
import { BackupDamaged, BackupTooNew, messageOf } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Authenticity } from '../../signature.ts'
import { checkSeal } from '../digest.ts'
import type { Late, Manifest } from '../manifest.ts'
import { firstIssues } from './first-issues.ts'
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

/**
 * Reads a manifest or a late file by itself: what it says is not compared with anything else. Digest and signature come first,
 * because to look at all that a document holds takes ten times what they take, and anybody may have made it.
 * @throws NotFound, BackupDamaged, BackupTooNew
 */
export async function readDocument<Schema extends z.ZodType<Manifest | Late>>(
  bucket: Bucket,
  key: string,
  schema: Schema,
): Promise<Read<z.output<Schema>>> {
  const { json, sha256 } = await readUnknown(bucket, key)
  // Before the schema, which would only say that it knows no such fields.
  const { data: newer } = z.object({ version: z.number().gt(currentVersion) }).safeParse(json)
  if (newer !== undefined)
    throw tooNew(bucket, key, `has the version ${newer.version}, but this tool reads ${currentVersion}`)
  const seal = checkSeal(bucket.signing ?? [], json)
  if (seal.digest === 'wrong') refuse(bucket, key, ['it is not what its own digest was made of'])
  const { authentic } = seal
  if (authentic === 'forged')
    throw new DocumentDamaged(bucket, key, 'its signature is not that of what it says: somebody edited it')
  const first = authentic === 'signed' ? [] : firstIssues(schema, json)
  const parsed = first.length > 0 ? null : schema.safeParse(json)
  if (!parsed?.success) {
    const issues = parsed?.error.issues ?? first
    const unknown = unknownMembers(issues)
    if (seal.digest === 'right' && issues.length === unknown.length && isCurrent(json))
      throw tooNew(
        bucket,
        key,
        `has members that this tool does not know (${unknown.slice(0, 3).join(', ')})`,
      )
    const problems = issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`)
    refuse(bucket, key, problems)
    throw parsed?.error // there is at least one
  }
  return { document: parsed.data, sha256, authentic }
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

function tooNew({ name: bucket }: Bucket, key: string, what: string): BackupTooNew {
  return new BackupTooNew(
    `s3://${bucket}/${key} ${beginningOf(what)}: it was made by a newer version. Update the tool`,
  )
}

async function readUnknown(bucket: Bucket, key: string): Promise<{ json: unknown; sha256: string }> {
  try {
    const { text, sha256 } = await readText(bucket, key, documentBounds)
    return { json: parseJson(text, documentBounds), sha256 }
  } catch (cause) {
    if (cause instanceof TooMuch) throw new DocumentDamaged(bucket, key, cause.message, { cause })
    if (!(cause instanceof SyntaxError)) throw cause
    throw new DocumentDamaged(bucket, key, `it is not JSON (${messageOf(cause)})`, { cause })
  }
}

/** Three problems say enough; a table that is missing makes hundreds. */
export function refuse(bucket: Bucket, key: string, problems: Iterable<string>): void {
  const first: string[] = []
  for (const problem of problems) if (first.push(problem) === 3) break
  if (first.length > 0) throw new DocumentDamaged(bucket, key, first.join('; '))
}
