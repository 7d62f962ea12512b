import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildConsole } from '../../scripts/build-console.ts'

test('the page is loaded in less than 80 KiB: of what it shares with the functions it carries sentences, and no library of theirs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskmaster-page-'))
  try {
    await buildConsole(folder)
    const { size } = await stat(join(folder, 'app.js'))
    expect(size).toBeLessThan(80 * 1024)
  } finally {
    await rm(folder, { recursive: true })
  }
})
