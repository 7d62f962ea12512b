import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backupKeys } from '../../lib/backup/layout.ts'
import { writePart } from '../../lib/backup/part/write.ts'
import type { FilesSection } from '../../lib/backup/sections/files.ts'
import { copyFiles } from '../../lib/files/copy/copy.ts'
import { writeFilesIndex } from '../../lib/files/copy/write-index.ts'
import { diffFiles, diffHeldFiles } from '../../lib/files/difference.ts'
import { listFiles } from '../../lib/files/list.ts'
import { backupId, fence, noProgress, prefix, useFiles } from './files-stack.ts'
import { smallPages } from './s3-front.ts'

const stack = useFiles()
let runs = 0
const put = (key: string, body: string) => stack.put(`${prefix}${key}`, body)
const remove = (key: string) => fetch(`${stack.front.url}/files/${prefix}${key}`, { method: 'DELETE' })

async function backUp(): Promise<FilesSection> {
  const run = { runId: `run-${++runs}`, attempt: 1, tried: 'once' }
  const id = `${backupId.slice(0, -2)}${String(runs).padStart(2, '0')}`
  const listing = await listFiles(stack.clients, { write: run, preserve: [] })
  for (let batch = 0; batch < listing.batches; batch++)
    await copyFiles(stack.clients, { run, backupId: id, batch, ...listing }, noProgress, fence)
  const keyOf = backupKeys('.taskmaster/backups/', id).filesIndex
  const { index, objects, bytes } = await writeFilesIndex(
    stack.clients.backups,
    { run, lists: listing.lists },
    keyOf,
  )
  return { prefix, objects, bytes, vanished: 0, index }
}
const difference = (held: FilesSection) => diffFiles(stack.clients, { held }, noProgress)
const none = { extra: 0, missing: 0, changed: 0, bytes: 0 }

test('the difference of files tells how many came, went and changed, and how much a restore would copy', async () => {
  for (const key of ['a', 'b/c', 'b/d', 'e é', 'f']) await put(key, `${key} then`)
  const held = await backUp()
  expect(await difference(held)).toEqual({ before: 5, now: 5, ...none })
  await put('b/c', 'b/c now!')
  await put('0', 'new')
  await put('zz', 'new')
  await remove('a')
  await remove('f')
  await put('f', 'f then') // the same bytes
  const bytes = Buffer.byteLength('b/c then') + Buffer.byteLength('a then')
  expect(await difference(held)).toEqual({ before: 5, now: 6, extra: 2, missing: 1, changed: 1, bytes })
})

test('of no files, before or now, it is what the other side holds', async () => {
  const empty = await backUp()
  expect(await difference(empty)).toEqual({ before: 0, now: 0, ...none })
  await put('a', 'x')
  expect(await difference(empty)).toEqual({ before: 0, now: 1, ...none, extra: 1 })
  const held = await backUp()
  await remove('a')
  expect(await difference(held)).toEqual({ before: 1, now: 0, ...none, missing: 1, bytes: 1 })
})

test('it is exact for any files, over pages of a listing', async () => {
  const files = fc.dictionary(
    fc.constantFrom('a', 'a/b', 'a0', 'b', 'b/', 'é', 'z'),
    fc.constantFrom('1', '22'),
    { maxKeys: 6 },
  )
  const rounds = fc.asyncProperty(files, files, async (then, now) => {
    for (const key of await stack.files()) await remove(encodeURIComponent(key))
    for (const [key, body] of Object.entries(then)) await put(key, body)
    const held = await backUp()
    for (const key of Object.keys(then)) if (now[key] === undefined) await remove(encodeURIComponent(key))
    for (const [key, body] of Object.entries(now)) if (then[key] !== body) await put(key, body)
    stack.front.faults = [smallPages(2)]
    const found = await difference(held)
    const between = { before: held, after: await backUp() }
    stack.front.faults = []
    expect(await diffHeldFiles(stack.clients, between, noProgress)).toEqual(found)
    const lost = Object.keys(then).filter((key) => now[key] === undefined)
    const changed = Object.keys(then).filter((key) => now[key] !== undefined && now[key] !== then[key])
    expect(found).toEqual({
      before: Object.keys(then).length,
      now: Object.keys(now).length,
      extra: Object.keys(now).filter((key) => then[key] === undefined).length,
      missing: lost.length,
      changed: changed.length,
      bytes: [...lost, ...changed].reduce((sum, key) => sum + (then[key]?.length ?? 0), 0),
    })
  })
  await fc.assert(rounds, { numRuns: 8 })
})

test('a list of files that is not what the manifest says is damage', async () => {
  await put('a', 'x')
  const held = await backUp()
  const lines = Buffer.from('{"key":"b"}\n')
  const other = await writePart(
    stack.clients.backups,
    () => '.taskmaster/backups/other.jsonl.zst',
    async function* () {
      yield lines
    },
  )
  if (other === null) throw new Error('Nothing was written.')
  await expect(difference({ ...held, index: other })).rejects.toThrow(/line 1 describes no file/)
})
