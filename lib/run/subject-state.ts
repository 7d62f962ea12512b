import { bytes, counted } from '../amounts.ts'

// No schema in here: the page has this file, and must not carry what reads schemas.

/**
 * What is known of the backup that a verify read, a diff compared or a delete was to delete. `verified`: every object is what was written;
 * `rehearsed`: it was loaded as well, and every row is the one backed up; `compared` with what is there now, or with another backup; `damaged`; `deleted`; `partly_deleted`: it is no
 * backup any more, and the next prune deletes the rest; `kept`: it is what it was; `unknown`: it could not be looked at.
 */
export const subjectStates = [
  'verified',
  'rehearsed',
  'compared',
  'damaged',
  'deleted',
  'partly_deleted',
  'kept',
  'unknown',
] as const
type SubjectState = (typeof subjectStates)[number]

/** The backup that a verify, a diff or a delete is about, with the objects and bytes that were read or deleted. */
export type Subject = {
  backupId: string
  /** The backup that a diff compared it with; absent: it was compared with what is there now. */
  to?: string | undefined
  state: SubjectState
  objects: number
  bytes: number
}

/** What a verify, a diff or a delete found or did, with the backup it is about. */
export function subjectSentence({ backupId, to, state, objects, bytes: size }: Subject): string {
  const all = `${counted(objects, 'object')}, ${bytes(size)}`
  const read = `The backup ${backupId} was read, ${all}: every object is what was written`
  const sentences: Record<SubjectState, string> = {
    verified: `${read}.`,
    rehearsed: `${read}, and every row was loaded and is the one that was backed up.`,
    compared: `The backup ${backupId} was compared with ${to === undefined ? 'what is there now' : `the backup ${to}`}.`,
    damaged: `The backup ${backupId} is damaged: ${all} were read, and not all of it is what was written.`,
    deleted: `The backup ${backupId} is deleted: ${all}.`,
    partly_deleted: `The backup ${backupId} is no backup any more; what is left of its objects is deleted by the next prune.`,
    kept: `The backup ${backupId} is kept as it was.`,
    unknown: `What the backup ${backupId} is worth could not be told.`,
  }
  return sentences[state]
}
