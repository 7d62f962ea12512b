import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { isMissing, type Storage, storageError } from './storage.ts'

/** Whether the object is there. @throws NotPermitted, StoreUnavailable when S3 does not say */
export async function exists(storage: Storage, key: string): Promise<boolean> {
  try {
    await storage.s3.send(new HeadObjectCommand({ Bucket: storage.bucket, Key: key }))
    return true
  } catch (cause) {
    if (isMissing(cause)) return false
    throw storageError(storage, 'read', key, cause)
  }
}
