import { describe, expect, test } from 'vitest'
import { readFilesMark, writeFilesMark } from '../../lib/files/mark.ts'
import { useFiles } from './files-stack.ts'
import { s3Error } from './s3-front.ts'

const stack = useFiles()
const key = '.taskmaster/environment.json'
const at = '2026-11-22T19:05:33.000Z'

describe("the files bucket's mark", () => {
  test('is read as it was written, and may be written again', async () => {
    expect(await readFilesMark(stack.clients)).toBeUndefined()
    await writeFilesMark(stack.clients, { environment: 'staging', at })
    await writeFilesMark(stack.clients, { environment: 'staging', at: '2027-01-01T00:00:00.000Z' })
    expect(await readFilesMark(stack.clients)).toBe('staging')
    expect(JSON.parse(await stack.get(key))).toEqual({ environment: 'staging', claimedAt: at })
  })

  for (const conditions of [true, false]) {
    test(`of another environment is never overwritten (conditions ${conditions ? 'honoured' : 'ignored'})`, async () => {
      stack.front.conditions = conditions
      await writeFilesMark(stack.clients, { environment: 'production', at })
      await expect(writeFilesMark(stack.clients, { environment: 'staging', at })).rejects.toMatchObject({
        name: 'EnvironmentMismatch',
        message: expect.stringContaining('"production"'),
      })
      expect(await readFilesMark(stack.clients)).toBe('production')
    })
  }

  test('written by somebody else between our look and our write is found', async () => {
    let looked = false
    stack.front.faults = [
      async ({ method }) => {
        if (method !== 'PUT' || looked) return undefined
        looked = true
        await writeFilesMark(stack.clients, { environment: 'production', at })
        return undefined
      },
    ]
    await expect(writeFilesMark(stack.clients, { environment: 'staging', at })).rejects.toMatchObject({
      name: 'EnvironmentMismatch',
    })
  })

  test('that another claim of the same environment writes at this moment is ours', async () => {
    let looked = false
    stack.front.faults = [
      async ({ method }) => {
        if (method !== 'PUT' || looked) return undefined
        looked = true
        await writeFilesMark(stack.clients, { environment: 'staging', at })
        return undefined
      },
    ]
    await writeFilesMark(stack.clients, { environment: 'staging', at: '2027-01-01T00:00:00.000Z' })
    expect(JSON.parse(await stack.get(key))).toEqual({ environment: 'staging', claimedAt: at })
  })

  test('that S3 does not take, and nobody else wrote, is not claimed', async () => {
    for (const [status, code, name] of [
      [409, 'ConditionalRequestConflict', 'ConditionalRequestConflict'],
      [403, 'AccessDenied', 'NotPermitted'],
    ] as const) {
      stack.front.faults = [({ method }) => (method === 'PUT' ? s3Error(status, code) : undefined)]
      await expect(writeFilesMark(stack.clients, { environment: 'staging', at })).rejects.toMatchObject({
        name,
      })
    }
    expect(await readFilesMark(stack.clients)).toBeUndefined()
  })

  test('that is no mark is an error, not an absent one', async () => {
    for (const body of ['not JSON', '{"environment":"staging"}', '{}']) {
      await stack.put(key, body)
      await expect(readFilesMark(stack.clients)).rejects.toMatchObject({ name: 'EnvironmentMismatch' })
    }
  })

  test('that cannot be read is an error, not an absent one', async () => {
    stack.front.faults = [() => s3Error(403, 'AccessDenied')]
    await expect(readFilesMark(stack.clients)).rejects.toMatchObject({ name: 'NotPermitted' })
    stack.front.faults = [() => s3Error(404, 'NoSuchBucket')]
    await expect(readFilesMark(stack.clients)).rejects.toMatchObject({ name: 'StoreUnavailable' })
  })
})
