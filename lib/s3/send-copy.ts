import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { OwnAnswer } from './own-answer.ts'
import { afterSigning, sendLight } from './own-request.ts'

/** What of CopyObject is asked for: these alone go into a request of our own. */
export type CopyInput = Pick<
  CopyObjectCommandInput,
  'CopySource' | 'CopySourceIfMatch' | 'IfMatch' | 'IfNoneMatch' | 'StorageClass' | 'TaggingDirective'
> & { Bucket: string; Key: string }

/** What S3 says of a copy that was refused for good, and nothing of S3 or of this request. */
const answers = new Set([404, 409, 412])

/**
 * CopyObject, which has no content, and whose answer says one thing.
 * @returns the ETag of the copy
 * @throws S3ServiceException
 * @see docs/decisions.md#a-copy-is-modelled-on-the-first-one
 */
export async function sendCopy(
  s3: S3Client,
  input: CopyInput,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { Bucket: bucket, Key: key } = input
  return await sendLight<string | undefined>(
    s3,
    { method: 'PUT', bucket, key, headers: headersOf(input) },
    {
      read,
      bySdk: async (learn) => {
        const copy = new CopyObjectCommand(input)
        copy.middlewareStack.add(
          (next) => (call) => {
            learn(call.request)
            return next(call)
          },
          afterSigning,
        )
        const answer = await s3.send(copy, signal === undefined ? {} : { abortSignal: signal })
        return answer.CopyObjectResult?.ETag
      },
    },
    signal,
  )
}

function headersOf({
  CopySource,
  CopySourceIfMatch,
  IfMatch,
  IfNoneMatch,
  StorageClass,
  TaggingDirective,
}: CopyInput): Record<string, string> {
  const headers: Record<string, string> = {}
  const optional = {
    'if-match': IfMatch,
    'if-none-match': IfNoneMatch,
    'x-amz-copy-source': CopySource,
    'x-amz-copy-source-if-match': CopySourceIfMatch,
    'x-amz-storage-class': StorageClass,
    'x-amz-tagging-directive': TaggingDirective,
  }
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) headers[name] = value
  return headers
}

/** @throws S3ServiceException for a refusal */
function read({ status, text }: OwnAnswer): { result: string } | undefined {
  const [, etag] = /<CopyObjectResult[^>]*>.*<ETag>([^<]*)<\/ETag>/s.exec(text) ?? []
  if (status === 200 && etag !== undefined) return { result: etag.replace(/&(quot|#34|#x22);/gi, '"') }
  const [, name] = /<Error>.*<Code>(\w+)<\/Code>/s.exec(text) ?? []
  if (!answers.has(status) || name === undefined) return undefined
  const [, message = name] = /<Message>([^<]*)<\/Message>/.exec(text) ?? []
  throw new S3ServiceException({ name, message, $fault: 'client', $metadata: { httpStatusCode: status } })
}
