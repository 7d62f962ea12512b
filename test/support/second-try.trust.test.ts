import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inFullForm, isFull } from './trust.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'taskmaster-second-try-'))
  await symlink(resolve('node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(
    join(folder, 'vitest.config.ts'),
    `import { Failures } from ${JSON.stringify(resolve('test/support/failures.ts'))}
     export default { test: { include: ['*.test.ts'], reporters: ['default', new Failures()], tags: [{ name: 'as-found' }] } }`,
  )
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/**
 * Runs the tests of files that count their tries, in a folder of their own.
 * @param files what each does at its nth try: `n` is 1 first
 */
async function run(files: Record<string, string>): Promise<{ code: number; said: string; tries: number[] }> {
  for (const [name, code] of Object.entries(files)) {
    await writeFile(
      join(folder, `${name}.test.ts`),
      `import { appendFileSync, readFileSync } from 'node:fs'
       import { beforeAll, expect, test } from 'vitest'
       appendFileSync('${name}', '.')
       const n = readFileSync('${name}', 'utf8').length
       ${code}`,
    )
  }
  const { TEST_FAILURES: _, TRUST: __, ...env } = process.env
  const child = spawn(process.execPath, [resolve('scripts/test.ts')], { cwd: folder, env, stdio: 'pipe' })
  const ended = new Promise<number>((end) => child.on('close', (code) => end(code ?? 1)))
  const said = (await Promise.all([text(child.stdout), text(child.stderr)])).join('')
  const tries = Object.keys(files).map(async (name) => (await readFile(join(folder, name), 'utf8')).length)
  return { code: await ended, said, tries: await Promise.all(tries) }
}

const holds = `test('holds', () => {})`
const late = `test('races', () => expect(n, 'too late').toBe(2))`

describe.runIf(isFull)(`a run of tests ${inFullForm}`, () => {
  test('tries the file of a test that failed once more, and names at the end what held only then', async () => {
    const { code, said, tries } = await run({ late, holds })
    expect([code, tries], said).toEqual([0, [2, 1]])
    expect(said).toContain('Held at the second try alone (1)')
    expect(said).toMatch(/late\.test\.ts: races\n +too late: expected 1 to be 2.*\(late\.test\.ts:\d+\)/)
  })

  test('does so where a whole file failed, before any of its tests', async () => {
    const { code, said, tries } = await run({
      hook: `beforeAll(() => { if (n === 1) throw new Error('no server') })\n${holds}`,
      loading: `if (n === 1) throw new Error('no module')\n${holds}`,
    })
    expect([code, tries], said).toEqual([0, [2, 2]])
    expect(said).toContain('hook.test.ts: the file itself\n    no server')
    expect(said).toContain('loading.test.ts: the file itself\n    no module')
  })

  test('is red where a test fails twice', async () => {
    const { code, said, tries } = await run({ never: `test('never', () => expect(n).toBe(0))`, late })
    expect([code, tries], said).toEqual([1, [2, 2]])
    expect(said).not.toContain('Held at the second try')
  })

  test.each([
    [
      'a counterexample',
      { property: `test('all', () => { throw new Error('Property failed after 3 tests') })` },
    ],
    ['a test that draws its rounds itself', { rounds: late.replace(`', `, `', { tags: ['as-found'] }, `) }],
    ['an error that belongs to no test', { late, stray: `Promise.reject(new Error('stray'))\n${holds}` }],
    ['more than three files', { late, later: late, latest: late, last: late }],
  ])('tries %s not again', async (_, files) => {
    const { code, said, tries } = await run(files)
    expect([code, tries], said).toEqual([1, tries.map(() => 1)])
  })
})
