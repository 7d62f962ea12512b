import * as z from 'zod'
import { noteBounds } from '../backup/documents/json.ts'
import { getJson } from '../backup/documents/read.ts'
import { putJson } from '../backup/documents/write.ts'
import { filesKeys } from '../backup/layout.ts'
import type { Clients } from '../clients.ts'
import { EnvironmentMismatch, messageOf, NotFound, ResetError } from '../errors.ts'
import { isPreconditionFailure } from '../s3/bucket.ts'
import type { Mark, MarkWriter } from '../store.ts'

type Tools = Pick<Clients, 'files'>

const key = filesKeys.mark

const MarkObject = z.strictObject({ environment: z.string().min(1), claimedAt: z.iso.datetime() })

/**
 * The environment's name that the files bucket carries, or undefined when `claim` was never run for it.
 * @throws EnvironmentMismatch when the object is there but is no mark
 */
export async function readFilesMark({ files }: Tools): Promise<string | undefined> {
  try {
    return (await getJson(files, key, MarkObject, noteBounds)).environment
  } catch (error) {
    if (error instanceof NotFound) return undefined
    if (error instanceof ResetError) throw error
    throw new EnvironmentMismatch(
      `s3://${files.name}/${key} is not the mark that claim writes: ${messageOf(error)}. Look at it; delete it and claim again if nothing else uses it`,
      { cause: error },
    )
  }
}

/**
 * Writes the environment's name into the files bucket; `at` is an ISO time. An equal mark that is there is fine.
 * @throws EnvironmentMismatch when the bucket carries another environment's name
 */
export async function writeFilesMark(
  { files }: Tools,
  { environment, at }: { environment: string; at: string },
): Promise<void> {
  // Read first, because some S3-compatible servers ignore If-None-Match and would overwrite.
  if (await carries({ files }, environment)) return
  try {
    await putJson(files, key, { environment, claimedAt: at }, { once: true })
  } catch (error) {
    if (!isPreconditionFailure(error)) throw error
    if (await carries({ files }, environment)) return
    throw error // S3 asks to repeat the request (409), which the caller's retry does
  }
}

async function carries({ files }: Tools, environment: string): Promise<boolean> {
  const present = await readFilesMark({ files })
  if (present === undefined || present === environment) return present === environment
  throw new EnvironmentMismatch(
    `The bucket ${files.name} carries the mark of the environment "${present}", not "${environment}". Check FILES_BUCKET and ENVIRONMENT; if the bucket was really handed over, delete s3://${files.name}/${key} and claim again`,
  )
}

export const filesMark: Mark = {
  where: ({ FILES_BUCKET }) => `The files (s3://${FILES_BUCKET}/${key})`,
  store: 'The files bucket',
  read: readFilesMark,
}

export const claimFiles: MarkWriter = (clients) =>
  writeFilesMark(clients, { environment: clients.config.ENVIRONMENT, at: clients.now().toISOString() })
