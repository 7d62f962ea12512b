import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildConsole } from '../../scripts/build-console.ts'

test('the page is loaded in less than 80 KiB, and each view that comes later in less than 40 more: of what it shares with the functions it carries sentences, and no library of theirs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskmaster-page-'))
  try {
    await buildConsole(folder)
    const names = (await readdir(folder)).filter((name) => name.endsWith('.js'))
    const scripts = new Map(
      await Promise.all(
        names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const),
      ),
    )
    /** A script with all that it imports before it runs, and so on. */
    const loaded = (name: string, found = new Set<string>()): Set<string> => {
      if (found.has(name)) return found
      found.add(name)
      for (const [, next = ''] of scripts.get(name)?.matchAll(/(?:from|import)"\.\/([^"]+)"/g) ?? [])
        loaded(next, found)
      return found
    }
    const bytesOf = (some: Iterable<string>) =>
      [...some].reduce((sum, name) => sum + Buffer.byteLength(scripts.get(name) ?? ''), 0)
    const first = loaded('app.js')
    expect(bytesOf(first)).toBeLessThan(80 * 1024)
    const later = [...(scripts.get('app.js')?.matchAll(/import\("\.\/([^"]+)"\)/g) ?? [])].map(
      ([, name = '']) => name,
    )
    expect(later.length).toBeGreaterThan(2)
    for (const name of later)
      expect(bytesOf([...loaded(name)].filter((one) => !first.has(one)))).toBeLessThan(40 * 1024)
  } finally {
    await rm(folder, { recursive: true })
  }
})
