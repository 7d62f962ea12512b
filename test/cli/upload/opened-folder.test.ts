import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Folder } from '../../../local/cli/download/folder.ts'
import { OpenedFolder } from '../../../local/cli/upload/opened-folder.ts'
import { cutsOf } from '../../../local/cli/upload/tables.ts'

const note = { backupId: '2026-11-22T19-05-33Z-3f9a2c', seen: {}, format: 'files' } as const
let root: string
let folder: OpenedFolder

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'upload-'))
  const made = await Folder.open(join(root, 'made'), note)
  await made.write('database/t.jsonl', ['{}\n{"a":1}\n', '{}\n'])
  await made.end(note)
  folder = await OpenedFolder.open(join(root, 'made'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const read = async (path: string) => {
  const lines: string[] = []
  for await (const { text } of folder.lines(path, 100)) lines.push(text.toString())
  return lines
}

describe('a folder that is uploaded', () => {
  test('is read below itself alone: no link, no folder and no path that leads out of it', async () => {
    await writeFile(join(root, 'outside'), 'secret\n')
    await mkdir(join(root, 'others'))
    await writeFile(join(root, 'others/x'), 'secret\n')
    await symlink(join(root, 'outside'), join(root, 'made/link'))
    await symlink(join(root, 'others'), join(root, 'made/linked'))
    await symlink(root, join(root, 'to root'))
    expect(await read('database/t.jsonl')).toEqual(['{}', '{"a":1}', '{}'])
    for (const path of ['link', 'linked/x', '../outside', 'database', 'missing', 'database/../../outside'])
      await expect(read(path), path).rejects.toMatchObject({ name: 'BackupDamaged' })
    // What the person named may be one.
    expect((await OpenedFolder.open(join(root, 'to root/made'))).path).toBe(folder.path)
  })

  test('gives no line that is too long, or does not end, and no document that is too large', async () => {
    await writeFile(join(root, 'made/long'), 'x'.repeat(1_000_000))
    await writeFile(join(root, 'made/open'), 'a\nb')
    await expect(read('long')).rejects.toThrow('longer than the 100 bytes')
    await expect(read('open')).rejects.toThrow('its last line does not end')
    await expect(folder.text('long', 999_999)).rejects.toThrow('999999 are the most')
    await expect(cutsOf(folder, 'long', { longest: 10, partBytes: 10 })).rejects.toThrow('longer than 10')
    await expect(cutsOf(folder, 'open', { longest: 10, partBytes: 10 })).rejects.toThrow('does not end')
  })

  test('is cut into stretches of whole lines that leave nothing out', async () => {
    const cut = (partBytes: number) => cutsOf(folder, 'database/t.jsonl', { longest: 100, partBytes })
    expect(await cut(100)).toEqual([{ from: 0, to: 14, rows: 3 }])
    expect(await cut(4)).toEqual([
      { from: 0, to: 11, rows: 2 },
      { from: 11, to: 14, rows: 1 },
    ])
    expect((await cut(1)).map(({ rows }) => rows)).toEqual([1, 1, 1])
    await writeFile(join(root, 'made/none'), '')
    expect(await cutsOf(folder, 'none', { longest: 0, partBytes: 1 })).toEqual([])
  })
})
