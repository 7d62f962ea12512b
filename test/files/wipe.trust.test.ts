import { setTimeout } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { workKeys } from '../../lib/backup/layout.ts'
import { OutOfTime, RunLost } from '../../lib/errors.ts'
import { copyFiles } from '../../lib/files/copy/copy.ts'
import { listFiles } from '../../lib/files/list.ts'
import { wipeFiles } from '../../lib/files/wipe.ts'
import { pieceLimits } from '../../lib/files/work-lists.ts'
import { fenceOf } from '../support/fences.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backupId, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { oddKeys } from './odd-keys.ts'
import {
  errorElement,
  type Fault,
  holding,
  isBulkDelete,
  objectsIn,
  s3Error,
  smallPages,
} from './s3-front.ts'

const run = { runId: 'run-1', attempt: 1, tried: 'once' }
const stack = useFiles()

/** Lists, copies, and gives what the wipe of the only batch is called with. */
async function backUp({ backup = true, preserve = [] as string[] } = {}) {
  const { lists } = await listFiles(stack.clients, { write: run, preserve })
  const batch = { run, batch: 0, listsPerBatch: 1, lists }
  if (backup) await copyFiles(stack.clients, { ...batch, backupId }, noProgress, fence)
  stack.front.seen = []
  return { ...batch, backup, preserve }
}

const none = { batch: 0, objects: 0, bytes: 0, changed: 0, appeared: 0, failures: 0, failed: [] }
const remove = (key: string) => fetch(`${stack.front.url}/files/${key}`, { method: 'DELETE' })

describe('wiping the files', () => {
  test('prefix foo/ never touches foo2/', async () => {
    const others = [
      'generated_stories2/a',
      'generated_storie',
      'generated_stories',
      'z',
      '.taskmaster/environment.json',
    ]
    await stack.putMany([...others, `${prefix}a`, `${prefix}b/c`])
    const result = await wipeFiles(stack.clients, await backUp(), noProgress, fence)
    expect(result).toEqual({ ...none, objects: 2, bytes: `${prefix}a${prefix}b/c`.length })
    expect(await stack.keysIn('files')).toEqual([...others].sort())
  })

  test('folder markers and odd keys (unicode, spaces, +, %, &, newline, //, control characters) go like any other', async () => {
    const keys = ['', ...oddKeys]
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    const result = await wipeFiles(stack.clients, await backUp(), noProgress, fence)
    expect(result).toMatchObject({ objects: keys.length, failures: 0 })
    expect(await stack.keysIn('files')).toEqual([])
  })

  test.runIf(isFull)(`keys that XML cannot hold are deleted one by one ${inFullForm}`, async () => {
    await stack.putMany([`${prefix}control\u0001`, `${prefix}new\nline`, `${prefix}plain`])
    await wipeFiles(stack.clients, await backUp(), noProgress, fence)
    expect(stack.front.seen.filter((line) => line.startsWith('DELETE'))).toHaveLength(2)
    expect(await stack.files()).toEqual([])
  })

  test('preserved prefixes stay, and only those', async () => {
    await stack.putMany(['pinned/a', 'pinned/b/c', 'pinned2/d', 'e'].map((key) => `${prefix}${key}`))
    const result = await wipeFiles(stack.clients, await backUp({ preserve: ['pinned/'] }), noProgress, fence)
    expect(result).toMatchObject({ objects: 2, appeared: 0 })
    expect(await stack.files()).toEqual(['pinned/a', 'pinned/b/c'])
    expect(await stack.copies()).toHaveLength(4)
  })

  for (const conditions of isFull ? [true, false] : [true]) {
    const server = conditions ? 'S3' : 'a server that ignores conditions'
    test(`an object that changed after it was copied survives and is reported, on ${server}`, async () => {
      stack.front.conditions = conditions
      await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}control\u0001`])
      const batch = await backUp()
      await stack.put(`${prefix}a`, 'newer')
      await stack.put(`${prefix}control\u0001`, 'newer')
      expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
        objects: 1,
        changed: 2,
        failures: 0,
      })
      expect(await stack.files()).toEqual(['a', 'control\u0001'])
      expect(await stack.get(`${prefix}a`)).toBe('newer')
    })
  }

  test('an object that changes at the last moment, after we looked, survives by the ETag of its deletion', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}control\u0001`])
    const batch = await backUp()
    stack.front.faults = [
      async (request) => {
        if (isBulkDelete(request)) await stack.put(`${prefix}a`, 'newer')
        if (request.method === 'DELETE') await stack.put(`${prefix}control\u0001`, 'newer')
        return undefined
      },
    ]
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 1,
      changed: 2,
      failures: 0,
    })
    expect(await stack.get(`${prefix}a`)).toBe('newer')
  })

  test('an object that came after the backup survives and is reported', async () => {
    await stack.putMany([`${prefix}b`, `${prefix}d`])
    const batch = await backUp()
    await stack.putMany(['a', 'c', 'e'].map((key) => `${prefix}${key}`))
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 2,
      appeared: 3,
    })
    expect(await stack.files()).toEqual(['a', 'c', 'e'])
  })

  test('an object that vanished before it was copied and came back survives: the backup does not hold it', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const { lists } = await listFiles(stack.clients, { write: run, preserve: [] })
    const batch = { run, batch: 0, listsPerBatch: 1, lists }
    await remove(`${prefix}a`)
    await copyFiles(stack.clients, { ...batch, backupId }, noProgress, fence)
    await stack.put(`${prefix}a`)
    const result = await wipeFiles(stack.clients, { ...batch, backup: true, preserve: [] }, noProgress, fence)
    expect(result).toMatchObject({ objects: 1, appeared: 1 })
    expect(await stack.files()).toEqual(['a'])
  })

  test('without a backup the version that was listed goes, and a newer one survives', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await backUp({ backup: false })
    await stack.put(`${prefix}b`, 'newer')
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({ objects: 1, changed: 1 })
    expect(await stack.files()).toEqual(['b'])
  })

  test('DeleteObjects answering 200 with errors inside is not success', async () => {
    await stack.putMany(Array.from({ length: 30 }, (_, n) => `${prefix}${n}`))
    const batch = await backUp()
    stack.front.faults = [
      (request) => {
        if (!isBulkDelete(request)) return undefined
        const errors = objectsIn(request.body).map(([, key]) => errorElement(key, 'AccessDenied'))
        return { status: 200, body: `<DeleteResult>${errors.join('')}</DeleteResult>` }
      },
    ]
    const result = await wipeFiles(stack.clients, batch, noProgress, fence)
    expect(result).toMatchObject({ objects: 0, failures: 30 })
    expect(result.failed).toHaveLength(20)
    expect(result.failed[0]).toEqual({ key: `${prefix}0`, code: 'AccessDenied' })

    stack.front.faults = []
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 30,
      failures: 0,
    })
  })

  test('an object that S3 says it deleted but still lists is a failure', async () => {
    await stack.putMany([`${prefix}a`, `${prefix}b`])
    const batch = await backUp()
    stack.front.faults = [
      (request) =>
        isBulkDelete(request) ? { status: 200, body: '<DeleteResult></DeleteResult>' } : undefined,
    ]
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 0,
      failures: 2,
      failed: [{ key: `${prefix}a`, code: 'NotDeleted' }, { code: 'NotDeleted' }],
    })
  })

  test('an error of single keys that means "not now" is tried again, whichever it is', async () => {
    const codes = ['InternalError', 'SlowDown', 'ServiceUnavailable', 'OperationAborted', 'RequestTimeout']
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    const batch = await backUp()
    const asked: string[][] = []
    stack.front.faults = [
      async (request, forward) => {
        if (!isBulkDelete(request)) return undefined
        const objects = objectsIn(request.body)
        asked.push(objects.map(([, key]) => key.slice(prefix.length)))
        if (asked.length > 2) return undefined
        const refused = objects.slice(0, asked.length === 1 ? codes.length : 1)
        const others = refused.reduce((body, [element]) => body.replace(element, ''), request.body)
        if (objects.length > refused.length) await forwardBody(request, Buffer.from(others), forward)
        const errors = refused.map(([, key], index) => errorElement(key, codes[index] ?? ''))
        return { status: 200, body: `<DeleteResult>${errors.join('')}</DeleteResult>` }
      },
    ]
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 6,
      failures: 0,
    })
    expect(asked).toEqual([keys, keys.slice(0, 5), ['a']])
  })

  test.runIf(isFull)(
    `keys that S3 asks to slow down for at every try are an error that the machine repeats, and no keys that are left ${inFullForm}`,
    async () => {
      await stack.putMany([`${prefix}a`, `${prefix}b`, `${prefix}c`])
      const batch = await backUp()
      const errors = [
        errorElement(`${prefix}b`, 'ServiceUnavailable'),
        errorElement(`${prefix}c`, 'SlowDown'),
      ]
      stack.front.faults = [
        async (request, forward) => {
          if (!isBulkDelete(request)) return undefined
          const [first, ...others] = objectsIn(request.body)
          const body = others.reduce((left, [element]) => left.replace(element, ''), request.body)
          if (first?.[1].endsWith('/a')) await forwardBody(request, Buffer.from(body), forward)
          return { status: 200, body: `<DeleteResult>${errors.join('')}</DeleteResult>` }
        },
      ]
      await expect(wipeFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringMatching(
          /asked 5 times to slow down \(ServiceUnavailable\) .*\/b was to be deleted; 2 of 3 objects are left/,
        ),
      })
      stack.front.faults = []
      expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
        objects: 3,
        failures: 0,
      })
    },
  )

  test('the run is asked for its lock before each request that deletes, and one that is lost deletes no more', async () => {
    const keys = ['a', 'b', 'c']
    await stack.putMany([...keys, 'control\u0001'].map((key) => `${prefix}${key}`))
    const batch = await backUp({ backup: false })
    const deletes = () => stack.front.seen.filter((line) => /^(POST|DELETE)/.test(line)).length
    let asked = 0
    const lost = {
      ...fence,
      check: async () => {
        if (asked++ > 0) throw new RunLost('it is over')
      },
    }
    // The questions are further apart than an answer is believed.
    stack.front.faults = [
      async (request) => {
        if (isBulkDelete(request)) await setTimeout(150)
        return undefined
      },
    ]
    await expect(wipeFiles(stack.clients, batch, noProgress, lost)).rejects.toMatchObject({ name: 'RunLost' })
    expect(asked).toBe(2)
    expect(deletes()).toBe(1)
    expect(await stack.files()).toEqual(['control\u0001'])
    expect(await stack.keysIn('backups')).not.toContain(workKeys(run).filesWiped(0))

    await expect(wipeFiles(stack.clients, batch, noProgress, lost)).rejects.toMatchObject({ name: 'RunLost' })
    expect(deletes()).toBe(1)

    const late = fenceOf(1)
    const lose = async () => {
      late.lost = new RunLost('it is over')
    }
    await expect(wipeFiles(stack.clients, batch, lose, late)).rejects.toMatchObject({ name: 'RunLost' })
    expect(await stack.files()).toEqual([])
    expect(await stack.keysIn('backups')).not.toContain(workKeys(run).filesWiped(0))
  })

  test('a deletion that is under way when the invocation ends is not sent again', async () => {
    await stack.put(`${prefix}a`)
    const batch = await backUp()
    const invocation = new AbortController()
    const held = holding(isBulkDelete)
    stack.front.faults = [held.fault]
    const wiping = wipeFiles(stack.clients, batch, noProgress, { ...fence, signal: invocation.signal })
    const request = await held.arrived
    invocation.abort(new OutOfTime('it is over'))
    await expect(wiping).rejects.toMatchObject({ name: 'OutOfTime' })
    await vi.waitFor(() => expect(request.isGone()).toBe(true), 20_000)
    held.release()
    await vi.waitFor(() => expect(stack.front.atWork).toBe(0), 20_000)
    expect(await stack.files()).toEqual(['a'])
  })

  test('a deletion of a single object that fails for another reason than the object is an error too', async () => {
    await stack.put(`${prefix}control\u0001`)
    const batch = await backUp()
    for (const answer of [s3Error(404, 'NoSuchBucket'), 'drop'] as const) {
      stack.front.faults = [({ method }) => (method === 'DELETE' ? answer : undefined)]
      await expect(wipeFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
        name: 'StoreUnavailable',
      })
    }
    stack.front.faults = [({ method }) => (method === 'DELETE' ? s3Error(403, 'AccessDenied') : undefined)]
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      failures: 1,
      failed: [{ key: `${prefix}control\u0001`, code: 'AccessDenied' }],
    })
  })

  test('a request that fails as a whole is an error', async () => {
    await stack.put(`${prefix}a`)
    const batch = await backUp()
    stack.front.faults = [(request) => (isBulkDelete(request) ? s3Error(403, 'AccessDenied') : undefined)]
    await expect(wipeFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'NotPermitted',
    })
    expect(await stack.files()).toEqual(['a'])
  })

  test('a listing error before deleting is an error, and nothing is deleted', async () => {
    await stack.put(`${prefix}a`)
    const batch = await backUp()
    stack.front.faults = [({ query }) => (query.has('list-type') ? s3Error(503, 'SlowDown') : undefined)]
    await expect(wipeFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
    expect(stack.front.seen.some((line) => line.startsWith('POST') || line.startsWith('DELETE'))).toBe(false)
  })

  test('the wipe of a batch repeated after a lost answer has the same result', async () => {
    await stack.putMany(['a', 'b', 'c', 'd'].map((key) => `${prefix}${key}`))
    const batch = await backUp()
    await stack.put(`${prefix}b`, 'newer')
    await stack.put(`${prefix}bb`)
    stack.front.faults = [
      ({ method, key }) => (method === 'PUT' && key === workKeys(run).filesWiped(0) ? 'drop' : undefined),
    ]
    await expect(wipeFiles(stack.clients, batch, noProgress, fence)).rejects.toMatchObject({
      name: 'StoreUnavailable',
    })
    expect(await stack.files()).toEqual(['b', 'bb'])

    stack.front.faults = []
    const expected = { ...none, objects: 3, bytes: 3 * `${prefix}a`.length, changed: 1, appeared: 1 }
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toEqual(expected)
    await remove(`${prefix}b`)
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toEqual(expected)
  })

  test('a lost answer of DeleteObjects itself changes nothing', async () => {
    await stack.putMany(['a', 'b'].map((key) => `${prefix}${key}`))
    const batch = await backUp()
    let lost = 0
    stack.front.faults = [
      async (request, forward) => {
        if (!isBulkDelete(request) || lost++ > 0) return undefined
        await forward()
        return 'drop'
      },
    ]
    expect(await wipeFiles(stack.clients, batch, noProgress, fence)).toMatchObject({
      objects: 2,
      failures: 0,
    })
  })

  test('each batch deletes and reports its own stretch of keys, and together they cover everything', async () => {
    const keys = Array.from({ length: 125 }, (_, n) => `${n % 2 ? 'B' : 'a'}${String(n).padStart(4, '0')}`)
    stack.front.faults = [smallPages(50)]
    await stack.putMany(keys.map((key) => `${prefix}${key}`))
    const { lists, batches } = await listFiles(
      stack.clients,
      { write: run, preserve: [] },
      { ...pieceLimits, objects: 60, batches: 2 },
    )
    expect({ lists, batches }).toEqual({ lists: 3, batches: 2 })
    await stack.putMany(['A', 'Bz', 'b'].map((key) => `${prefix}${key}`))
    const data = { run, listsPerBatch: 2, lists, backup: false, preserve: [] }
    const second = await wipeFiles(stack.clients, { ...data, batch: 1 }, noProgress, fence)
    expect(second).toMatchObject({ objects: 5, appeared: 1 })
    const first = await wipeFiles(stack.clients, { ...data, batch: 0 }, noProgress, fence)
    expect(first).toMatchObject({ objects: 120, appeared: 2 })
    expect(await stack.files()).toEqual(['A', 'Bz', 'b'])
  })
})

/** What S3 answers to the same request with another body. */
async function forwardBody(request: Parameters<Fault>[0], raw: Buffer, forward: Parameters<Fault>[1]) {
  request.raw = raw
  request.body = raw.toString()
  return await forward()
}
