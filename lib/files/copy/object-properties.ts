import pMap from 'p-map'
import { agreeing, counted } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import { headObject, type ObjectHead } from '../../s3/head-object.ts'
import type { ListedFile } from '../pieces.ts'

/** Files that are looked at, since no listing tells what this is about; and how many at the same time. */
const lookedAt = 250
const concurrency = 32

/**
 * What a copy inside S3 leaves behind, and so would be missing after a restore: the redirect of a website's object, a
 * retention or legal hold, and a key of its own for the encryption. Read of the first of the
 * files by Copy, which alone of a backup's steps may read them.
 * @returns a warning for each that was found, with how many of how many
 * @throws StoreUnavailable or NotPermitted when a file cannot be looked at: then it could not be copied either
 * @see docs/decisions.md#what-copies-leave-behind-is-looked-for-in-the-first-250-files
 */
export async function warnOfNotCarried(
  { files, config }: Pick<Clients, 'files' | 'config'>,
  listed: readonly ListedFile[],
): Promise<Warning[]> {
  const looks = await pMap(
    listed.slice(0, lookedAt),
    ({ key }) => headObject(files.s3, { bucket: files.name, key: `${config.FILES_PREFIX}${key}` }),
    { concurrency },
  )
  const found = looks.filter((look) => look !== undefined)
  const usual = mostFrequent(found.map(encryptionOf))
  const counts: [code: string, count: number, one: string, many: string][] = [
    [
      'RedirectsNotKept',
      found.filter(({ WebsiteRedirectLocation }) => WebsiteRedirectLocation !== undefined).length,
      'redirects a website (x-amz-website-redirect-location), which a restored file does not',
      'redirect a website (x-amz-website-redirect-location), which a restored file does not',
    ],
    [
      'LocksNotKept',
      found.filter((look) => look.ObjectLockMode !== undefined || look.ObjectLockLegalHoldStatus === 'ON')
        .length,
      'is under a retention or a legal hold, which a restored file is not',
      'are under a retention or a legal hold, which a restored file is not',
    ],
    [
      'KeysNotKept',
      found.filter((look) => encryptionOf(look) !== usual).length,
      `is encrypted otherwise than most (${usual}); a restored file is encrypted as the bucket says`,
      `are encrypted otherwise than most (${usual}); a restored file is encrypted as the bucket says`,
    ],
  ]
  return counts
    .filter(([, count]) => count > 0)
    .map(([code, count, one, many]) => ({
      code,
      message: `${count} of the ${counted(found.length, 'file')} that ${agreeing(found.length, 'was', 'were')} looked at ${agreeing(count, one, many)}`,
    }))
}

function encryptionOf({ ServerSideEncryption, SSEKMSKeyId }: ObjectHead): string {
  return [ServerSideEncryption ?? 'not at all', SSEKMSKeyId ?? ''].join(' ').trim()
}

function mostFrequent(texts: readonly string[]): string | undefined {
  const groups = [...Map.groupBy(texts, (text) => text).values()]
  return groups.sort((a, b) => b.length - a.length)[0]?.[0]
}
