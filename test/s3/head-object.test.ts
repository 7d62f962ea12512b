import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { StoreUnavailable } from '../../lib/errors.ts'
import { headObject } from '../../lib/s3/head-object.ts'
import { useFiles } from '../files/files-stack.ts'
import { oddKeys } from '../files/odd-keys.ts'
import { s3Error } from '../files/s3-front.ts'

const stack = useFiles()
const client = () =>
  new S3Client({
    endpoint: stack.front.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/+=' },
    forcePathStyle: true,
    maxAttempts: 1,
  })

/** Whether each HEAD that arrives is the SDK's. */
function watch(): boolean[] {
  const sent: boolean[] = []
  stack.front.faults = [
    ({ method, headers }) => {
      if (method === 'HEAD') sent.push(headers['amz-sdk-invocation-id'] !== undefined)
      return undefined
    },
  ]
  return sent
}

describe('a HEAD that is modelled on the first one', () => {
  test('tells what the SDK tells, of any key, also when many are asked for at once', async () => {
    await stack.putMany(oddKeys)
    const sent = watch()
    const [s3, sdk] = [client(), client()]
    const told = await Promise.all(oddKeys.map((key) => headObject(s3, { bucket: 'files', key })))
    expect(sent.map(Number)).toEqual([1, ...oddKeys.slice(1).map(() => 0)])
    for (const [index, Key] of oddKeys.entries()) {
      const { ETag, ContentLength, StorageClass } = await sdk.send(
        new HeadObjectCommand({ Bucket: 'files', Key }),
      )
      expect(told[index]).toMatchObject({ ETag, ContentLength, ...(StorageClass && { StorageClass }) })
    }
  })

  test('tells all that is asked of an object', async () => {
    await stack.putMany(['a', 'b'])
    const s3 = client()
    await headObject(s3, { bucket: 'files', key: 'a' })
    const headers = {
      etag: '"0123"',
      'content-length': '7',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-website-redirect-location': '/elsewhere',
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-legal-hold': 'ON',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'key',
      'x-amz-checksum-type': 'FULL_OBJECT',
      'x-amz-checksum-crc64nvme': 'AAAA',
    }
    const answers: boolean[] = []
    stack.front.faults = [
      ({ key, headers: asked }) => {
        if (key !== 'b') return undefined
        answers.push(asked['amz-sdk-invocation-id'] !== undefined)
        return { status: 200, headers, body: '' }
      },
    ]
    const own = await headObject(s3, { bucket: 'files', key: 'b' })
    const bySdk = await headObject(client(), { bucket: 'files', key: 'b' })
    expect(answers).toEqual([false, true])
    expect(own).toEqual({
      ETag: '"0123"',
      ContentLength: 7,
      StorageClass: 'STANDARD_IA',
      WebsiteRedirectLocation: '/elsewhere',
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockLegalHoldStatus: 'ON',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'key',
      ChecksumType: 'FULL_OBJECT',
      ChecksumCRC64NVME: 'AAAA',
    })
    expect(bySdk).toMatchObject(own ?? {})
  })

  test('says that there is none, and leaves to the SDK what S3 does not say', async () => {
    await stack.putMany(['a'])
    const sent = watch()
    const s3 = client()
    await headObject(s3, { bucket: 'files', key: 'a' })
    expect(await headObject(s3, { bucket: 'files', key: 'gone' })).toBeUndefined()
    stack.front.faults.push(({ key }) => (key === 'b' ? s3Error(503, 'SlowDown') : undefined))
    await expect(headObject(s3, { bucket: 'files', key: 'b' })).rejects.toThrow(StoreUnavailable)
    expect(sent).toEqual([true, false, false, true])
  })
})
