import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
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

test.runIf(isFull)(
  'it measures everything there is beside all peers that are installed, and leaves nothing behind (full form)',
  async ({ skip }) => {
    skip(reason !== undefined, reason)
    const out = join(folder, 'out')
    const child = bench('--scale', '0.01', '--rounds', '1', '--out', out, '--json')
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
    expect((await readdir(folder)).filter((name) => name.startsWith('taskmaster-'))).toEqual([])
  },
)

test.runIf(isFull)('interrupted, it ends at once and leaves nothing behind (full form)', async ({ skip }) => {
  skip(reason !== undefined, reason)
  const child = bench('--scale', '0.01', '--rounds', '1', '--only', 'export')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (!said.includes('Round 1') && `${said}${text}`.includes('Round 1')) child.kill('SIGINT')
    said += text
  })
  expect((await once(child, 'exit'))[0], said).toBe(130)
  expect(said).toContain('Round 1')
  expect((await readdir(folder)).filter((name) => name.startsWith('taskmaster-'))).toEqual([])
})
