import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findPostgres } from '../../local/database/programs.ts'
import { type Guarded, guardProcesses } from '../../local/processes/child-processes.ts'

let folder: string
let guarded: Guarded

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'programs-test-'))
  await chmod(folder, 0o711)
  guarded = await guardProcesses()
})
afterAll(async () => {
  await guarded.stop()
  await rm(folder, { recursive: true, force: true })
})

const saying = (version: string) => `#!/bin/sh\necho "program (PostgreSQL) ${version}"\n`

test.each([
  { name: "a (plain) one's", copied: false },
  { name: 'with $HOME in it', copied: true },
  { name: 'with a "quotation"', copied: true },
  { name: 'with a `tick`', copied: true },
  { name: 'with \\', copied: true },
])('where a shell would read the path of PostgreSQL otherwise, it is run from a copy: $name', async (one) => {
  const program = join(folder, one.name, 'bin', 'postgres')
  await mkdir(dirname(program), { recursive: true })
  for (const path of [program, join(dirname(program), 'initdb')])
    await writeFile(path, saying('18.4'), { mode: 0o755 })
  const { postgres } = await findPostgres(guarded, dirname(program))
  expect(postgres.startsWith(one.copied ? guarded.folder : folder)).toBe(true)
})

test('POSTGRES_PROGRAMS that does not lead to both programs is refused, and the installed ones are not taken in their place', async () => {
  const half = join(folder, 'half')
  await mkdir(half)
  await writeFile(join(half, 'postgres'), saying('18.4'), { mode: 0o755 })
  for (const wrong of [half, join(folder, 'none'), '.', join(half, 'postgres')])
    await expect(findPostgres(guarded, wrong)).rejects.toThrow(`POSTGRES_PROGRAMS is "${wrong}"`)
  const installed = await findPostgres(guarded, '')
  expect(installed.postgres).toMatch(/postgres$/)
})

test.each([
  { what: 'no program', initdb: '', postgres: '' },
  { what: 'no PostgreSQL', initdb: '#!/bin/sh\n', postgres: '#!/bin/sh\n' },
  { what: 'one that fails', initdb: '#!/bin/sh\nexit 3\n', postgres: saying('18.4') },
  { what: 'two versions', initdb: saying('15.18'), postgres: saying('17.10') },
  { what: 'an old version', initdb: saying('13.4'), postgres: saying('13.4') },
])(
  'POSTGRES_PROGRAMS of $what is refused before anything is begun, with what the programs say they are',
  async (one) => {
    const wrong = join(folder, one.what)
    await mkdir(wrong)
    for (const name of ['initdb', 'postgres'] as const)
      await writeFile(join(wrong, name), one[name], { mode: 0o755 })
    const version = (text: string) => /[\d.]{2,}/.exec(text)?.[0] ?? 'none'
    await expect(findPostgres(guarded, wrong)).rejects.toThrow(
      `has initdb of version ${version(one.initdb)} and postgres of version ${version(one.postgres)}`,
    )
  },
)
