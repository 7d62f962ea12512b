import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, it } from 'vitest'
import { digestOfObject, readPartLines } from '../../lib/backup/part/read.ts'
import { writePart } from '../../lib/backup/part/write.ts'
import {
  BackupDamaged,
  NotFound,
  NotPermitted,
  ReadBackMismatch,
  StoreUnavailable,
} from '../../lib/errors.ts'
import { readObject } from '../../lib/s3/bucket.ts'
import { type S3Answer, s3Error } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { expectNothingUnhandled } from '../support/unhandled.ts'
import { startFrontedBucket } from './fronted-bucket.ts'

const { front, bucket: storage } = await startFrontedBucket()
let number = 0

expectNothingUnhandled({ settleMs: 20 })
beforeEach(() => {
  number++
})

const key = (copy: number) => `parts/${number}-${copy}.jsonl.zst`
async function* lines(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}
/** Does not compress, so that it is sent in several parts. */
async function* noise(megabytes: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < megabytes; sent++) yield randomBytes(2 ** 20)
}

async function linesOf(part: string): Promise<string[]> {
  const found: string[] = []
  for await (const line of readPartLines(storage, part)) found.push(line.toString())
  return found
}

async function keysThere(): Promise<string[]> {
  const list = await storage.s3.send(
    new ListObjectsV2Command({ Bucket: 'backups', Prefix: `parts/${number}-` }),
  )
  return (list.Contents ?? []).map((object) => object.Key ?? '')
}

async function uploadsOpen(): Promise<number> {
  const list = await storage.s3.send(new ListMultipartUploadsCommand({ Bucket: 'backups' }))
  return (list.Uploads ?? []).length
}

describe('a part', () => {
  it('is what was written, compressed, with the size and digest of the stored bytes', async () => {
    const written = await writePart(storage, key, () => lines('{"a":1}\n', '{"a":2}\n'))
    const stored = await storage.s3.send(new GetObjectCommand({ Bucket: 'backups', Key: key(1) }))
    const bytes = (await stored.Body?.transformToByteArray())?.length
    expect(written).toEqual({
      ...{ key: key(1), bytes, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ...{ plain: 16, longest: 8 },
    })
    expect(await digestOfObject(storage, key(1))).toEqual({ bytes, sha256: written?.sha256 })
    expect(await linesOf(key(1))).toEqual(['{"a":1}', '{"a":2}'])
  })

  it('is sent in several pieces when it is long, and is whole all the same', async () => {
    const written = await writePart(storage, key, () => noise(14))
    expect(written?.bytes).toBeGreaterThan(14 * 2 ** 20)
    expect(front.seen.filter((request) => request.startsWith(`PUT ${key(1)}?`)).length).toBe(3)
    expect(await digestOfObject(storage, key(1))).toEqual({ bytes: written?.bytes, sha256: written?.sha256 })
  })

  it('is not written at all when there is nothing to write', async () => {
    expect(await writePart(storage, key, () => lines())).toBeNull()
    expect(await keysThere()).toEqual([])
  })

  it('splits its lines at LF only: not at U+2028, CR or form feed, and not inside a character', async () => {
    const odd = ['a\u2028b\u2029c\u0085d', 'e\rf\fg\vh', '', '\u{1F600}'.repeat(70_000), 'last without end']
    const bytes = Buffer.from(odd.join('\n'))
    const cut = function* () {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
    }
    await writePart(storage, key, async function* () {
      yield* cut()
    })
    expect(await linesOf(key(1))).toEqual(odd)
  })
})

describe('a source that puts each chunk where the one before was', () => {
  const sizes: [string, number][] = [
    ['small ones', 1_000],
    ['large ones', 3 * 2 ** 20],
  ]
  it.each(sizes.slice(0, isFull ? undefined : 1))('is written as it was: %s', async (_, size) => {
    const bytes = Buffer.alloc(size)
    const expected: string[] = []
    await writePart(storage, key, async function* () {
      for (let count = 0; count < 8; count++) {
        bytes.write(`${randomBytes(size / 4).toString('hex')}\n`, 0, 'latin1')
        const length = bytes.indexOf(0x0a) + 1
        expected.push(bytes.toString('latin1', 0, length - 1))
        yield bytes.subarray(0, length)
      }
    })
    expect((await linesOf(key(1))).join() === expected.join()).toBe(true)
  })
})

describe('a part that is read', () => {
  it('is no damaged one when the connection breaks, so that reading it is tried again', async () => {
    await writePart(storage, key, () => noise(1))
    front.faults.push(async (request, forward) =>
      request.method === 'GET' ? { ...(await forward()), cutAt: 300_000 } : undefined,
    )
    await expect(linesOf(key(1))).rejects.toThrow(StoreUnavailable)
  })

  const xml = '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>'
  const answers: Record<string, (answer: S3Answer) => S3Answer> = {
    'breaks off without having said a length': ({ body, ...answer }) => ({
      ...{ ...answer, chunked: true },
      body: Buffer.from(body).subarray(0, 300_000),
    }),
    'is an error behind a 200': () => ({
      ...{ status: 200, body: xml },
      headers: { 'content-type': 'application/xml' },
    }),
  }
  it.each(Object.entries(answers))('is no damaged one when the answer %s', async (_, change) => {
    const { bytes, sha256 } = (await writePart(storage, key, () => noise(1))) ?? {}
    let isWhole = false
    front.faults.push(async (request, forward) => {
      if (request.method !== 'GET') return undefined
      const answer = await forward()
      return isWhole ? { ...answer, chunked: true } : change(answer)
    })
    const reads = [
      () => linesOf(key(1)),
      () => digestOfObject(storage, key(1)),
      () => readObject(storage, key(1), 2 ** 24),
    ]
    for (const read of reads) await expect(read()).rejects.toThrow(StoreUnavailable)
    isWhole = true
    for (const read of reads) await read()
    expect(await digestOfObject(storage, key(1))).toEqual({ bytes, sha256 })
  })

  it('is a damaged one when it ends too early', async () => {
    await writePart(storage, key, () => noise(1))
    front.faults.push(async (request, forward) => {
      const answer = request.method === 'GET' ? await forward() : undefined
      return answer && { ...answer, body: Buffer.from(answer.body).subarray(0, 300_000) }
    })
    await expect(linesOf(key(1))).rejects.toThrow(BackupDamaged)
  })
})

describe('a part whose key is taken', () => {
  it('goes to the next free key, and nothing that is there is touched', async () => {
    for (const copy of [1, 2]) {
      await storage.s3.send(new PutObjectCommand({ Bucket: 'backups', Key: key(copy), Body: 'earlier' }))
    }
    expect(await writePart(storage, key, () => lines('x\n'))).toMatchObject({ key: key(3) })
    expect((await keysThere()).length).toBe(3)
    expect((await digestOfObject(storage, key(1))).bytes).toBe('earlier'.length)
  })

  const sources: [string, () => AsyncGenerator<Buffer>][] = [
    ['small', () => lines('x\n')],
    ['large', () => noise(12)],
  ]
  it.each(sources.slice(0, isFull ? undefined : 1))(
    'goes to the next key also when a %s object came in between, and its source is read anew',
    async (_, source) => {
      let sources = 0
      front.faults.push(async (request) => {
        const ends =
          request.method === 'PUT' ? !request.query.has('partNumber') : request.query.has('uploadId')
        if (request.key !== key(1) || !ends || request.headers['if-none-match'] !== '*') return undefined
        return s3Error(412, 'PreconditionFailed')
      })
      const written = await writePart(storage, key, () => {
        sources++
        return source()
      })
      expect(written?.key).toBe(key(2))
      expect(sources).toBe(2)
      expect(await keysThere()).toEqual([key(2)])
    },
  )

  it('is never written without the condition, in one piece or in several', async () => {
    const conditions: (string | undefined)[] = []
    front.faults.push((request) => {
      const completes = request.method === 'POST' && request.query.has('uploadId')
      if (completes || (request.method === 'PUT' && !request.query.has('partNumber'))) {
        conditions.push(request.headers['if-none-match'])
      }
      return undefined
    })
    await writePart(storage, key, () => lines('x\n'))
    number++
    await writePart(storage, key, () => noise(12))
    expect(conditions).toEqual(['*', '*'])
  })
})

describe('a part that is not held as it was sent', () => {
  it.each([
    ['one bit is another', (body: Buffer) => body.fill((body[3] ?? 0) ^ 1, 3, 4)],
    ['its end is missing', (body: Buffer) => body.subarray(0, -1)],
    ['it has grown', (body: Buffer) => Buffer.concat([body, Buffer.from('x')])],
    ['it is empty', () => Buffer.alloc(0)],
  ])('is refused when %s', async (_, damage) => {
    front.faults.push(async (request, forward) => {
      if (request.method !== 'GET') return undefined
      const answer = await forward()
      const { 'x-amz-checksum-crc32': __, ...headers } = answer.headers ?? {}
      return { ...answer, headers, body: damage(Buffer.from(answer.body)) }
    })
    await expect(writePart(storage, key, () => lines('{"a":1}\n'))).rejects.toThrow(ReadBackMismatch)
  })

  it('is refused when the connection breaks while it is read back', async () => {
    front.faults.push((request) => (request.method === 'GET' ? 'drop' : undefined))
    await expect(writePart(storage, key, () => lines('x\n'))).rejects.toThrow(StoreUnavailable)
  })

  it('is refused when it vanished', async () => {
    front.faults.push((request) => (request.method === 'GET' ? s3Error(404, 'NoSuchKey') : undefined))
    await expect(writePart(storage, key, () => lines('x\n'))).rejects.toThrow(NotFound)
  })

  it('is refused when it may not be read', async () => {
    front.faults.push((request) => (request.method === 'GET' ? s3Error(403, 'AccessDenied') : undefined))
    await expect(writePart(storage, key, () => lines('x\n'))).rejects.toThrow(NotPermitted)
  })
})

describe('a part that cannot be written', () => {
  const refusals: [string, () => ReturnType<typeof s3Error> | 'drop', new (message: string) => Error][] = [
    ['is refused', () => s3Error(403, 'AccessDenied'), NotPermitted],
    ['fails', () => s3Error(500, 'InternalError'), StoreUnavailable],
    ['breaks off', () => 'drop', StoreUnavailable],
    ['has no bucket', () => s3Error(404, 'NoSuchBucket'), StoreUnavailable],
  ]
  const ofLongOnes = refusals.slice(0, isFull ? undefined : 1)
  it.each(refusals)('is an error at once when a small upload %s', async (_, answer, error) => {
    front.faults.push((request) => (request.method === 'PUT' ? answer() : undefined))
    await expect(writePart(storage, key, () => lines('x\n'))).rejects.toThrow(error)
    expect(await keysThere()).toEqual([])
  })

  it.each(ofLongOnes)(
    'is an error at once when the beginning of a long upload %s',
    async (_, answer, error) => {
      front.faults.push((request) =>
        request.query.has('uploads') && request.method === 'POST' ? answer() : undefined,
      )
      await expect(writePart(storage, key, () => noise(16))).rejects.toThrow(error)
      expect(await keysThere()).toEqual([])
    },
  )

  it.each(ofLongOnes)(
    'is an error at once when a piece of a long upload %s, and leaves no piece behind',
    async (_, answer, error) => {
      front.faults.push((request) => (request.query.get('partNumber') === '2' ? answer() : undefined))
      await expect(writePart(storage, key, () => noise(20))).rejects.toThrow(error)
      expect(await keysThere()).toEqual([])
      await expect.poll(uploadsOpen).toBe(0)
    },
  )

  it.each(ofLongOnes)('is an error when the end of a long upload %s', async (_, answer, error) => {
    front.faults.push((request) =>
      request.method === 'POST' && request.query.has('uploadId') ? answer() : undefined,
    )
    await expect(writePart(storage, key, () => noise(12))).rejects.toThrow(error)
    expect(await keysThere()).toEqual([])
  })

  it.runIf(isFull)(
    `takes its time when the upload is slow, and does not read on meanwhile ${inFullForm}`,
    async () => {
      let produced = 0
      const released = Promise.withResolvers<void>()
      front.faults.push(async (request) => {
        if (request.query.has('partNumber')) await released.promise
        return undefined
      })
      const writing = writePart(storage, key, async function* () {
        for await (const chunk of noise(40)) {
          produced++
          yield chunk
        }
      })
      let before = -1
      while (produced === 0 || produced > before) {
        before = produced
        await sleep(500)
      }
      released.resolve()
      expect(before).toBeLessThan(16)
      expect((await writing)?.bytes).toBeGreaterThan(40 * 2 ** 20)
    },
  )
})

describe('a source that fails', () => {
  const moments: [string, number][] = [
    ['before its first chunk', 0],
    ['after a little', 1],
    ['after several pieces were sent', 20],
  ]
  it.each(moments.slice(0, isFull ? undefined : 2))(
    '%s is the error that is reported, and no object comes into being',
    async (_, chunks) => {
      let closed = false
      const writing = writePart(storage, key, async function* () {
        try {
          yield* noise(chunks)
          throw new Error('the database went away')
        } finally {
          closed = true
        }
      })
      await expect(writing).rejects.toThrow('the database went away')
      expect(closed).toBe(true)
      expect(await keysThere()).toEqual([])
      await expect.poll(uploadsOpen).toBe(0)
    },
  )

  it('is closed when the upload fails first, so that its cursor does not stay open', async () => {
    let closed = false
    front.faults.push((request) => (request.query.has('uploads') ? s3Error(403, 'AccessDenied') : undefined))
    const writing = writePart(storage, key, async function* () {
      try {
        yield* noise(1000)
      } finally {
        closed = true
      }
    })
    await expect(writing).rejects.toThrow(NotPermitted)
    await expect.poll(() => closed).toBe(true)
  })
})
