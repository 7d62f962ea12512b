import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { type Storage, storageError } from './storage.ts'

/** Keys and sizes in bytes of all objects below the prefixes. A page that cannot be listed is an error, never an end. */
export async function* listSizes(
  storage: Storage,
  prefixes: readonly string[],
): AsyncGenerator<{ key: string; size: number }> {
  for (const prefix of prefixes) {
    let token: string | undefined
    do {
      const page = new ListObjectsV2Command({
        Bucket: storage.bucket,
        Prefix: prefix,
        ContinuationToken: token,
      })
      const answer = await storage.s3.send(page).catch((cause: unknown) => {
        throw storageError(storage, 'list', prefix, cause)
      })
      for (const object of answer.Contents ?? []) {
        if (object.Key !== undefined) yield { key: object.Key, size: object.Size ?? 0 }
      }
      token = answer.NextContinuationToken
    } while (token !== undefined)
  }
}
