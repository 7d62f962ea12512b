import { S3ServiceException } from '@aws-sdk/client-s3'
import { BackupIncomplete } from '../errors.ts'

/** Where an object lies. */
export type Location = { bucket: string; key: string }

/** One object to copy inside S3: its version is the one whose ETag is given. `size` in bytes. */
export type CopySource = Location & {
  size: number
  etag: string
  storageClass?: string | undefined
}

/** In bytes. S3 copies at most 5 GiB at once; larger objects go in parts of 5 MiB to 5 GiB, at most 10,000 of them. */
export const copyLimits = { single: 5 * 2 ** 30, part: 512 * 2 ** 20, parts: 10_000, tries: 5 }
export type CopyLimits = typeof copyLimits

/** The value of a CopySource header: encoded by the caller, because the SDK sends it as it is. */
export function copySourceHeader({ bucket, key }: Location): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
}

/** @throws BackupIncomplete when S3 answered 200 without an ETag, which some servers do for copies that failed */
export function requireEtag(etag: string | undefined, { bucket, key }: CopySource): string {
  if (etag) return etag
  throw new BackupIncomplete(
    `S3 answered the copy of s3://${bucket}/${key} with success but without an ETag, so it may not have been copied. Nothing was wiped; start again`,
  )
}

/**
 * Whether the object itself is gone, also by what S3 says of a condition on a target that is gone. A bucket or an upload
 * that is gone is a 404 too, and no reason to leave the object out.
 */
export function isGone(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey'
}
