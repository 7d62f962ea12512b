import { isBulkDelete, objectsIn, type S3Request } from '../files/s3-front.ts'
import type { Call } from './iam.ts'

type Use = Omit<Call, 'caller'>

/** Who signed a request: functions are told apart by their access keys, as on AWS. */
export function callerOf(request: { headers: S3Request['headers']; query?: URLSearchParams }): string {
  const credential = request.query?.get('X-Amz-Credential') ?? request.headers.authorization ?? ''
  return /(?:Credential=)?([^/= ]+)\/\d{8}\//.exec(credential)?.[1] ?? 'nobody'
}

/** The permissions that S3 asks for before it carries a request out. */
export function usesOf(request: S3Request): Use[] {
  const { method, bucket, key, query, headers } = request
  const object = `arn:aws:s3:::${bucket}/${key}`
  if (isBulkDelete(request)) {
    return objectsIn(request.body).flatMap(([, name, etag]) =>
      deletion(`arn:aws:s3:::${bucket}/${name}`, etag),
    )
  }
  if (key === '') return [{ action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }]
  if (method === 'GET' || method === 'HEAD')
    return [{ action: query.has('tagging') ? 's3:GetObjectTagging' : 's3:GetObject', resource: object }]
  if (method === 'DELETE' && query.has('uploadId'))
    return [{ action: 's3:AbortMultipartUpload', resource: object }]
  if (method === 'DELETE') return deletion(object, headers['if-match'])
  return writing(object, request)
}

/** What a request needs as well to be told that an object is not there, and not that it is forbidden. */
export function useOfMissing({ bucket }: S3Request): Use {
  return { action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }
}

/** S3 compares an ETag only for who may read it. */
function deletion(resource: string, etag: string | undefined): Use[] {
  const reads = etag === undefined ? [] : [{ action: 's3:GetObject', resource }]
  return [{ action: 's3:DeleteObject', resource }, ...reads]
}

function writing(resource: string, { method, query, headers }: S3Request): Use[] {
  const makesObject = method === 'PUT' ? !query.has('partNumber') : query.has('uploadId')
  const condition = headers['if-none-match']
  const context = {
    's3:ObjectCreationOperation': String(makesObject),
    ...(condition === undefined ? {} : { 's3:if-none-match': condition }),
  }
  const source = headers['x-amz-copy-source']
  const read = source === undefined ? [] : [decodeURIComponent(String(source)).replace(/^\//, '')]
  return [
    { action: 's3:PutObject', resource, context },
    ...(headers['if-match'] === undefined ? [] : [{ action: 's3:GetObject', resource }]),
    ...read.map((path) => ({ action: 's3:GetObject', resource: `arn:aws:s3:::${path}` })),
  ]
}
