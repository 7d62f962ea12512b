import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findServers } from '../../bench/stores/programs.ts'
import { messageOf } from '../../lib/errors.ts'
import { isFull } from '../support/trust.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const reason = await findServers().then(() => undefined, messageOf)
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-test-'))
  await chmod(folder, 0o711) // PostgreSQL runs as another user when we are root
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function bench(...argv: string[]) {
  const args = ['--import', './local/quick-load.mjs', 'bench/main.ts', ...argv]
  // Where it leaves nothing behind can be seen.
  return spawn(process.execPath, args, { cwd: root, env: { ...process.env, TMPDIR: folder } })
}

/** Processes that were started with this folder for what is temporary, and what lies there. */
async function leftIn(folder: string): Promise<string[]> {
  const found = (await readdir(folder)).filter((name) => name.startsWith('taskmaster-'))
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '') // it has ended meanwhile
    if ((await read('environ')).split('\0').includes(`TMPDIR=${folder}`)) found.push(await read('cmdline'))
  }
  return found
}

test.runIf(isFull)(
  'it measures what is asked for beside all peers that are installed, and leaves nothing behind (full form)',
  async ({ skip }) => {
    skip(reason !== undefined, reason)
    const out = join(folder, 'out')
    const child = bench('--scale', '0.01', '--rounds', '1', '--only', 'wipe,import', '--out', out, '--json')
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    expect(code, stderr).toBe(0)
    const [{ rows }] = JSON.parse(stdout).scales
    for (const { name, figures } of rows) expect(figures, name).toHaveLength(1)
    expect((await readdir(out)).sort()).toEqual(['RESULTS.md', 'ratios.svg'])
    expect(await readFile(join(out, 'RESULTS.md'), 'utf8')).toContain('## Scale 0.01: 15,000 rows')
    expect(await leftIn(folder)).toEqual([])
  },
)

test.runIf(isFull).for([
  { moment: 'while it builds', only: 'export', word: 'building', after: 2_500 },
  { moment: 'in a function', only: 'export', word: 'Round 1', after: 100 },
  { moment: 'in a command of many processes', only: 'start', word: 'Round 1', after: 3_000 },
])(
  'interrupted $moment, it ends at once and leaves nothing behind (full form)',
  async ({ only, word, after }, { skip }) => {
    skip(reason !== undefined, reason)
    const child = bench('--scale', '0.01', '--rounds', '100', '--only', only) // it is never over by itself
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (!said.includes(word) && `${said}${text}`.includes(word))
        setTimeout(() => child.kill('SIGINT'), after)
      said += text
    })
    expect((await once(child, 'exit'))[0], said).toBe(130)
    expect(said).toContain(word)
    await expect.poll(() => leftIn(folder), { timeout: 30_000 }).toEqual([])
  },
)

test('where nothing can be written, nothing is measured either', async () => {
  const file = join(folder, 'a-file')
  await writeFile(file, '')
  const child = bench('--scale', '0.01', '--only', 'import', '--out', file)
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  expect(code, stderr).toBe(2)
  expect(stderr).toMatch(/^Nothing can be written to .*a-file/)
})
