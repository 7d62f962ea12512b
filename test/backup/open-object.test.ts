import { createServer } from 'node:http'
import { S3Client } from '@aws-sdk/client-s3'
import { afterAll, expect, test } from 'vitest'
import { type Bucket, openObject } from '../../lib/s3/bucket.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'

let answers = 0
const given = { etag: '"1"', head: 200 }
/** Says no length, and gives nothing more after the first bytes. */
const server = createServer((request, response) => {
  if (request.method === 'HEAD') return response.writeHead(given.head, { 'content-length': '20' }).end()
  answers++
  response.on('close', () => answers--)
  return response.writeHead(200, given.etag === '' ? {} : { etag: given.etag }).write('beginning')
})
const s3 = new S3Client({
  endpoint: `http://${LOOPBACK}:${await listen(server)}`,
  region: 'eu-central-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  forcePathStyle: true,
  maxAttempts: 1,
})
const bucket: Bucket = { s3, name: 'backups' }
afterAll(async () => {
  s3.destroy()
  server.closeAllConnections()
  await close(server)
})

const noneIsOpen = () => expect.poll(() => answers).toBe(0)

test('whoever waits no longer for an object that stalls, of which no length was said, ends its answer', async () => {
  const unread = await openObject(bucket, 'key')
  unread.Body.destroy()
  await noneIsOpen()
  const { Body } = await openObject(bucket, 'key')
  const chunks = Body[Symbol.asyncIterator]()
  expect(String((await chunks.next()).value)).toBe('beginning')
  const waiting = expect(chunks.next()).rejects.toThrow('no longer')
  Body.destroy(new Error('waits no longer'))
  await waiting
  await noneIsOpen()
})

test('an answer that is not taken, because it is no object or its length is not told, is ended', async () => {
  Object.assign(given, { etag: '', head: 200 })
  await expect(openObject(bucket, 'key')).rejects.toThrow('no ETag')
  Object.assign(given, { etag: '"1"', head: 403 })
  await expect(openObject(bucket, 'key')).rejects.toThrow('S3 refuses to read')
  await noneIsOpen()
})
