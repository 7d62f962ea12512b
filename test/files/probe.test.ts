import { describe, expect, test } from 'vitest'
import { probeConditions } from '../../lib/files/probe.ts'
import { useFiles } from './files-stack.ts'
import { type Fault, isBulkDelete, type S3Request, s3Error } from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1 }
const stack = useFiles()
const probe = (changesFiles = true) => probeConditions(stack.clients, { run, changesFiles })
const isCopy = ({ headers }: S3Request) => headers['x-amz-copy-source'] !== undefined
/** A server that does one kind of request as if it carried no condition. */
const without =
  (matches: (request: S3Request) => boolean, header: string): Fault =>
  (request) => {
    if (!matches(request)) return undefined
    const { [header]: _, ...headers } = request.headers
    request.headers = headers
    request.raw = Buffer.from(request.body.replaceAll(/<ETag>.*?<\/ETag>/gs, ''))
    return undefined
  }

describe('whether the S3 server heeds conditions is tried before anything is wiped', () => {
  test('one that does is no warning, and nothing is left among the files', async () => {
    await stack.put('generated_stories/a')
    expect(await probe()).toEqual([])
    expect(await stack.keysIn('files')).toEqual(['generated_stories/a'])
    expect(await stack.keysIn('backups')).toEqual([
      '.taskmaster/runs/run-1/1/probe-1',
      '.taskmaster/runs/run-1/1/probe-2',
    ])
    expect(await probe()).toEqual([]) // a repeat
  })

  test('a backup writes nothing into the bucket of the files to know it', async () => {
    expect(await probe(false)).toEqual([])
    expect(stack.front.seen.filter((line) => line.includes('probe-run'))).toEqual([])
    stack.front.conditions = false
    expect(await probe(false)).toMatchObject([{ message: expect.stringContaining('of copies:') }])
  })

  test('one that heeds none is a warning', async () => {
    stack.front.conditions = false
    expect(await probe()).toEqual([
      { code: 'ConditionsIgnored', message: expect.stringContaining('of copies and deletions:') },
    ])
    expect(await stack.keysIn('files')).toEqual([])
  })

  for (const [what, header, ignored] of [
    ['copies over what is there', 'if-none-match', 'copies'],
    ['copies over another version', 'if-match', 'copies'],
    ['copies of another version', 'x-amz-copy-source-if-match', 'copies'],
  ] as const)
    test(`one that makes ${what} is a warning`, async () => {
      stack.front.faults = [without(isCopy, header)]
      expect(await probe()).toMatchObject([{ message: expect.stringContaining(`of ${ignored}:`) }])
    })

  for (const [what, matches] of [
    ['together', isBulkDelete],
    ['alone', ({ method, headers }: S3Request) => method === 'DELETE' && headers['if-match'] !== undefined],
  ] as const)
    test(`one that deletes another version, ${what}, is a warning`, async () => {
      stack.front.faults = [without(matches, 'if-match')]
      expect(await probe()).toMatchObject([{ message: expect.stringContaining('of deletions:') }])
    })

  const aloneOn = (condition: boolean) => (request: S3Request) =>
    request.method === 'DELETE' && (request.headers['if-match'] !== undefined) === condition
  test.each<[string, string, (request: S3Request) => boolean]>([
    ['write', '.taskmaster/runs/run-1/1/probe-1', (request) => request.method === 'PUT' && !isCopy(request)],
    ['copy', '.taskmaster/runs/run-1/1/probe-2', isCopy],
    ['copy', 'files/.taskmaster/probe-run-1-1', (request) => isCopy(request) && request.bucket === 'files'],
    ['delete', 'files/.taskmaster/probe-run-1-1', isBulkDelete],
    ['delete', 'files/.taskmaster/probe-run-1-1', aloneOn(true)],
    ['delete', 'files/.taskmaster/probe-run-1-1', aloneOn(false)],
  ])('one that refuses to %s an object of the probe is told as that: %s', async (action, key, matches) => {
    stack.front.faults = [(request) => (matches(request) ? s3Error(403, 'AccessDenied') : undefined)]
    const probing = probe()
    await expect(probing).rejects.toMatchObject({ name: 'NotPermitted' })
    await expect(probing).rejects.toThrow(`S3 refuses to ${action} s3://`)
    await expect(probing).rejects.toThrow(key)
  })

  test('one that knows no conditional copies is refused by name', async () => {
    stack.front.faults = [(request) => (isCopy(request) ? s3Error(501, 'NotImplemented') : undefined)]
    await expect(probe()).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('Nothing was touched'),
    })
  })
})
