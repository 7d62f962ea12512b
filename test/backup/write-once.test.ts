import { PutObjectCommand, type S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { documentBounds } from '../../lib/backup/documents/json.ts'
import { findJson, findJsonLines, readText } from '../../lib/backup/documents/read.ts'
import { findResult, putResult } from '../../lib/backup/documents/results.ts'
import { putJson, putJsonLines } from '../../lib/backup/documents/write.ts'
import { putOnce, writeOnce } from '../../lib/backup/documents/write-once.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { NotPermitted, OutOfTime, StoreUnavailable, TooLargeToRead } from '../../lib/errors.ts'
import { type Bucket, exists } from '../../lib/s3/bucket.ts'
import { headObject } from '../../lib/s3/head-object.ts'
import { memoryS3 } from './memory-s3.ts'

const memory = memoryS3()
const { storage } = memory
const Result = z.strictObject({ left: z.number() })
const keys = workKeys({ runId: 'run-1', attempt: 0 })
const key = keys.cacheWiped
beforeEach(() => memory.objects.clear())

const refusal = (name: string, httpStatusCode: number) =>
  new S3ServiceException({ name, $fault: 'client', message: name, $metadata: { httpStatusCode } })

/** The same bucket, where S3 refuses what is to be written. */
const refusing = (error: Error): Bucket => ({
  ...storage,
  s3: {
    send: (command: never) => {
      if ((command as object) instanceof PutObjectCommand) throw error
      return storage.s3.send(command)
    },
  } as unknown as S3Client,
})

const put = (left: number, complete: boolean, to: Bucket = storage) =>
  putResult(to, key, Result, { result: { left }, complete })

describe("a step's result", () => {
  test('that is complete is written once, and whoever ends later is given the first', async () => {
    expect(await findResult(storage, key, Result)).toBeUndefined()
    expect(await put(0, true)).toEqual({ left: 0 })
    expect(await put(7, true)).toEqual({ left: 0 })
    expect(await findResult(storage, key, Result)).toEqual({ result: { left: 0 }, complete: true })
  })

  test('that left something undone is written over by the next try, and counts for nothing beside a complete one', async () => {
    for (const left of [5, 3]) {
      expect(await put(left, false)).toEqual({ left })
      expect(await findResult(storage, key, Result)).toEqual({ result: { left }, complete: false })
    }
    await put(0, true)
    await put(2, false)
    expect(await findResult(storage, key, Result)).toEqual({ result: { left: 0 }, complete: true })
  })

  test('that another invocation is writing at this moment is an error: nobody knows yet what it will be', async () => {
    const conflict = refusing(refusal('ConditionalRequestConflict', 409))
    await expect(put(0, true, conflict)).rejects.toThrow(StoreUnavailable)
    await expect(putOnce(conflict, key, { left: 0 })).rejects.toThrow(StoreUnavailable)
    const written = writeOnce(
      { left: 0 },
      (options) => putJson(conflict, key, { left: 0 }, options),
      () => findJson(conflict, key, Result),
    )
    await expect(written).rejects.toThrow(StoreUnavailable)
    await expect(written).rejects.toThrow('because another invocation was writing it')
  })

  test('that another invocation was writing, and did not end, is written after all', async () => {
    for (const write of [(to: Bucket) => put(3, true, to), (to: Bucket) => putOnce(to, key, { left: 3 })]) {
      memory.objects.clear()
      let refusals = 1
      const s3 = {
        send: (command: never) => {
          const isWrite = (command as object) instanceof PutObjectCommand
          if (isWrite && refusals-- > 0) throw refusal('ConditionalRequestConflict', 409)
          return storage.s3.send(command)
        },
      } as unknown as S3Client
      await write({ ...storage, s3 })
      expect(await findJson(storage, key, Result)).toEqual({ left: 3 })
    }
  })

  test('that S3 does not take for any other reason is an error too, whatever is there', async () => {
    await put(0, true)
    for (const error of [refusal('OperationAborted', 409), refusal('SlowDown', 503)]) {
      const failing = refusing(error)
      await expect(put(1, true, failing)).rejects.toThrow(StoreUnavailable)
      await expect(putOnce(failing, key, { left: 1 })).rejects.toThrow(StoreUnavailable)
      const written = writeOnce(
        { left: 1 },
        (options) => putJson(failing, key, { left: 1 }, options),
        () => findJson(failing, key, Result),
      )
      await expect(written).rejects.toThrow(error.name)
    }
  })

  test('is not written when the time of its step is over, and S3 is not told as the reason', async () => {
    const over = new AbortController()
    const late: Bucket = refusing(new Error('aborted'))
    over.abort(new OutOfTime('the step has no time left'))
    const writing = putResult(late, key, Result, { result: { left: 0 }, complete: true, signal: over.signal })
    await expect(writing).rejects.toThrow(OutOfTime)
  })
})

test('an object of which S3 does not say whether it is there is no absent one', async () => {
  const { name: bucket } = storage
  const ways: readonly (readonly [string, (of: Bucket) => Promise<unknown>])[] = [
    ['a document', (of) => findJson(of, key, Result)],
    ["a step's result", (of) => findResult(of, key, Result)],
    ['a key that may be taken', (of) => exists(of, key)],
    ['a copy', ({ s3 }) => headObject(s3, { bucket, key })],
  ]
  const without = (answer: Error): Bucket => ({
    ...storage,
    s3: { send: () => Promise.reject(answer) } as unknown as S3Client,
  })
  for (const [what, find] of ways) {
    expect(await find(without(refusal('NoSuchKey', 404))), what).toBeOneOf([undefined, false])
    await expect(find(without(refusal('SlowDown', 503))), what).rejects.toThrow(StoreUnavailable)
    await expect(find(without(new Error('the connection broke'))), what).rejects.toThrow(StoreUnavailable)
    await expect(find(without(refusal('AccessDenied', 403))), what).rejects.toThrow(NotPermitted)
  }
  await put(3, false)
  memory.answers.set(key.replace('.json', '.unfinished.json'), () => {
    throw refusal('SlowDown', 503)
  })
  await expect(findResult(storage, key, Result)).rejects.toThrow(StoreUnavailable)
  memory.answers.clear()
})

describe('a list of lines', () => {
  test('that is not there is none, and one that cannot be read is an error', async () => {
    expect(await findJsonLines(storage, keys.filesCopied(0), Result)).toBeUndefined()
    await putJsonLines(storage, keys.filesCopied(0), [{ left: 1 }, { left: 2 }])
    expect(await findJsonLines(storage, keys.filesCopied(0), Result)).toEqual([{ left: 1 }, { left: 2 }])
    const answer = () => {
      throw refusal('SlowDown', 503)
    }
    memory.answers.set(keys.filesCopied(0), answer)
    await expect(findJsonLines(storage, keys.filesCopied(0), Result)).rejects.toThrow(StoreUnavailable)
    memory.answers.clear()
  })

  test('that is larger than what is read of one, or a document that is nested deeper, is not written', async () => {
    const line = 'x'.repeat(documentBounds.bytes / 8)
    const lines = putJsonLines(storage, keys.filesCopied(0), Array(8).fill(line))
    await expect(lines).rejects.toThrow(TooLargeToRead)
    const deep = JSON.parse('['.repeat(40) + ']'.repeat(40))
    await expect(putJson(storage, key, deep)).rejects.toThrow(TooLargeToRead)
    expect(memory.objects.size).toBe(0)
  })
})

test('an object that S3 gives only to who has its own key is nothing that the step may read', async () => {
  const answer = () => {
    throw refusal('InvalidRequest', 400)
  }
  memory.answers.set('x.json', answer)
  memory.objects.set('x.json', Buffer.from('{}'))
  const reading = readText(storage, 'x.json', documentBounds)
  await expect(reading).rejects.toThrow(NotPermitted)
  await expect(reading).rejects.toThrow('with a key of the customer (SSE-C) it is none of ours')
  memory.answers.clear()
  await expect(putJson(refusing(refusal('InvalidRequest', 400)), 'x.json', {})).rejects.toThrow(
    StoreUnavailable,
  )
})
