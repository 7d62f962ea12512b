import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backupKeys } from '../../../lib/backup/layout.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import { copyFiles } from '../../../lib/files/copy/copy.ts'
import { writeFilesIndex } from '../../../lib/files/copy/write-index.ts'
import { listFiles } from '../../../lib/files/list.ts'
import { fetchFiles } from '../../../local/cli/download/files.ts'
import { Folder } from '../../../local/cli/download/folder.ts'
import { backupId, fence, noProgress, prefix, useFiles } from '../../files/files-stack.ts'
import { oddKeys } from '../../files/odd-keys.ts'

const stack = useFiles()
const backups = '.taskmaster/backups/'
const note = { backupId, seen: { manifest: 'a', late: null }, format: 'files' } as const
let runs = 0
let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'download-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** Backs the files up as the ordinary steps do. */
async function backUp(keys: readonly string[]): Promise<Backup> {
  await stack.putMany(keys.map((key) => `${prefix}${key}`))
  const run = { runId: `run-${++runs}`, attempt: 1, tried: 'once' }
  const listing = await listFiles(stack.clients, { write: run, preserve: [] })
  for (let batch = 0; batch < listing.batches; batch++)
    await copyFiles(stack.clients, { run, backupId, batch, ...listing }, noProgress, fence)
  const keyOf = backupKeys(backups, backupId).filesIndex
  const { index } = await writeFilesIndex(stack.clients.backups, { run, lists: listing.lists }, keyOf)
  stack.front.seen = []
  return { backupId, files: { index } } as Backup
}

/** Root may read and write everything. */
async function asAnyUser<T>(does: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return await does()
  process.seteuid?.(65_534)
  try {
    return await does()
  } finally {
    process.seteuid?.(0)
  }
}

async function fetchInto(name: string, backup: Backup) {
  const folder = await Folder.open(join(root, name), note)
  const told: number[] = []
  const source = { bucket: stack.clients.backups, prefix: backups, backup }
  return { ...(await fetchFiles(source, folder, (files) => told.push(files))), told }
}

const fetched = () => stack.front.seen.filter((line) => line.includes('/files/')).length

async function listed(name: string): Promise<{ key: string; path: string }[]> {
  const lines = (await readFile(join(root, name, 'files.jsonl'), 'utf8')).trim().split('\n')
  return lines.map((line) => JSON.parse(line))
}

describe('the files of a download', () => {
  test('lie below its folder under paths that the list tells, whatever their keys are, and for who made it alone', async () => {
    const keys = [...oddKeys, '../../../escape', '/etc/escape', 'a', 'a/b', 'A/b', 'folder/', 'x'.repeat(900)]
    const backup = await backUp(keys)
    const { files, told } = await fetchInto('all', backup)
    expect([files, told.at(-1)]).toEqual([new Set(keys).size, files])
    const list = await listed('all')
    expect(list.map(({ key }) => key).sort()).toEqual([...new Set(keys)].sort())
    for (const { key, path } of list) {
      expect(path.startsWith('files/')).toBe(true)
      expect(await readFile(join(root, 'all', path), 'utf8'), path).toBe(`${prefix}${key}`)
    }
    expect(await readdir(root)).toEqual(['all'])
    const [first] = list
    expect((await stat(join(root, 'all', first?.path ?? ''))).mode & 0o777).toBe(0o600)
  })

  test('are fetched once: what a try that broke off has brought, whole, is not fetched again', async () => {
    const backup = await backUp(Array.from({ length: 40 }, (_, n) => `${n}`))
    let left = 20
    stack.front.faults = [
      ({ key }) =>
        key.includes('/files/') && left-- <= 0 ? { status: 403, headers: {}, body: '' } : undefined,
    ]
    await expect(fetchInto('all', backup)).rejects.toMatchObject({ name: 'NotPermitted' })
    stack.front.faults = []
    const before = fetched()
    const again = await fetchInto('all', backup)
    expect(again.files).toBe(40)
    expect(again.fetched).toBeLessThan(21)
    expect(fetched() - before).toBe(again.fetched)
    expect((await fetchInto('all', backup)).fetched).toBe(0)
    for (const { key, path } of await listed('all'))
      expect(await readFile(join(root, 'all', path), 'utf8')).toBe(`${prefix}${key}`)
  })

  test('are refused when one is not the copy that was made, and leave nothing under its name', async () => {
    const backup = await backUp(['a', 'b'])
    await stack.put(`${backups}${backupId}/files/b`, 'another', 'backups')
    await expect(fetchInto('all', backup)).rejects.toMatchObject({
      name: 'BackupDamaged',
      message: expect.stringContaining('files/b'),
    })
    expect(await readdir(join(root, 'all', 'files'))).not.toContain('b')
  })

  test('of one of two downloads at work in a folder never get the name of the other', async () => {
    const path = join(root, 'shared')
    const [first, released] = [await Folder.open(path, note), Promise.withResolvers<void>()]
    let others: Promise<unknown> = Promise.resolve()
    async function* overtaken(): AsyncGenerator<string> {
      yield 'of a'
      const second = await Folder.open(path, note)
      await second.write('b', ['of b'])
      const begun = Promise.withResolvers<void>()
      async function* slowly(): AsyncGenerator<string> {
        yield 'half of c'
        begun.resolve()
        await released.promise
      }
      others = second.write('c', slowly())
      await begun.promise
    }
    await expect(first.write('a', overtaken())).rejects.toMatchObject({ code: 'ENOENT' })
    released.resolve()
    await others
    expect((await readdir(path)).sort()).toEqual(['.download.json', '.unfinished', 'b', 'c'])
  })

  test('come into a folder below others that there are not yet, for who made it alone', async () => {
    await symlink(root, join(root, 'same'))
    const { path } = await Folder.open(join(root, 'same', 'new', 'one'), note)
    for (const made of [path, join(root, 'new')]) expect((await stat(made)).mode & 0o777).toBe(0o700)
  })

  test.runIf(process.platform === 'linux')('come into no folder where none can be made', async () => {
    // Linux says of each folder below /proc that there is none, not that it may not be made: Node's own mkdir tries for ever.
    const child = spawn(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { Folder } from ${JSON.stringify(new URL('../../../local/cli/download/folder.ts', import.meta.url).href)}
       await Folder.open('/proc/none/x', {}).catch(({ name, message }) => console.log(name + ': ' + message))`,
    ])
    const waiting = setTimeout(() => child.kill('SIGKILL'), 30_000)
    expect(await text(child.stdout)).toMatch(/^InvalidRequest: The folder \/proc\/none\/x cannot be made: /)
    clearTimeout(waiting)
  })

  test('come into no folder that who asks may not read, or not write: it is the request that is wrong', async () => {
    await chmod(root, 0o755)
    for (const [name, mode] of [
      ['unread', 0o303],
      ['unwritten', 0o505],
    ] as const) {
      const path = join(root, name)
      await mkdir(path, { mode })
      const asked = asAnyUser(() => Folder.open(path, note))
      await expect(asked).rejects.toMatchObject({
        ...{
          name: 'InvalidRequest',
          message: expect.stringContaining(`The folder ${path} cannot be used: EACCES`),
        },
      })
    }
  })

  test('come into no folder that holds something else, nor past a link in it', async () => {
    const backup = await backUp(['a'])
    const path = join(root, 'own')
    await Folder.open(path, { ...note, backupId: 'another' })
    await expect(Folder.open(path, note)).rejects.toMatchObject({ name: 'InvalidRequest' })
    await expect(Folder.open(path, { ...note, format: 'json' })).rejects.toThrow(/is not empty/)
    await writeFile(join(root, 'file'), '')
    await expect(Folder.open(join(root, 'file', 'x'), note)).rejects.toThrow(/cannot be made/)
    await symlink(join(root, 'nowhere'), join(root, 'dangling'))
    await expect(Folder.open(join(root, 'dangling', 'x'), note)).rejects.toThrow(/cannot be made/)
    await Folder.open(join(root, 'linked'), note)
    await Folder.open(join(root, 'elsewhere'), note)
    await symlink(join(root, 'elsewhere'), join(root, 'linked', 'files'))
    await expect(fetchInto('linked', backup)).rejects.toThrow(/is no folder/)
    expect(await readdir(join(root, 'elsewhere'))).not.toContain('a')
  })
})
