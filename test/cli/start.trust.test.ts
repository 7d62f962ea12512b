import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { isExecutable } from '../../local/packages/programs.ts'
import { makeCheckout, paste } from '../support/checkout.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useCliStack } from './cli-stack.ts'
import { endOf, runScript } from './run-script.ts'

const cli = useCliStack()
const root = fileURLToPath(new URL('../../', import.meta.url))

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'cli started-'))
})
afterEach(() => rm(cwd, { recursive: true, force: true }))

const write = (variables: Record<string, string>) =>
  writeFile(
    join(cwd, '.env'),
    Object.entries(variables)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
  )

describe('a file .env', () => {
  test('names the services, and is said to: which file and which variables, but no value', async () => {
    await write(cli.stack.env)
    const { code, json, stderr } = await runScript('cli', ['options', '--json'], { cwd })
    expect({ code, environment: json.environment }).toEqual({ code: 0, environment: 'local' })
    expect(stderr).toContain(`${join(cwd, '.env')} gives ${Object.keys(cli.stack.env).sort().join(', ')}.`)
    for (const value of Object.values(cli.stack.env).filter((text) => text.length > 8))
      expect(stderr).not.toContain(value)
  })

  test.runIf(isFull)(`is not taken over what the environment has ${inFullForm}`, async () => {
    await write({ ...cli.stack.env, ENVIRONMENT: 'elsewhere' })
    const { json, stderr } = await runScript('cli', ['options', '--json'], {
      cwd,
      env: { ENVIRONMENT: 'local' },
    })
    expect(json.environment).toBe('local')
    expect(stderr).toContain('Set already, and so not taken from it: ENVIRONMENT.')
  })

  test('that cannot be read is told, and nothing is started', async () => {
    await write(cli.stack.env)
    await chmod(join(cwd, '.env'), 0)
    const readable = await readFile(join(cwd, '.env')).then(
      () => true,
      () => false,
    )
    if (readable) {
      // Root may read everything but a folder.
      await rm(join(cwd, '.env'))
      await promisify(execFile)('mkdir', [join(cwd, '.env')])
    }
    const { code, json, stderr } = await runScript('cli', ['options', '--json'], { cwd })
    expect(code).toBe(2)
    expect(json.error.name).toBe('InvalidConfiguration')
    expect(stderr).toContain(`${join(cwd, '.env')} cannot be read`)
  })
})

test.runIf(isFull)(
  `without a stack and without a service, one line on stderr says on what the CLI works ${inFullForm}`,
  async () => {
    const { code, json, stderr } = await runScript('cli', ['options', '--json'], { cwd })
    expect({ code, environment: json.environment }).toEqual({ code: 0, environment: 'local' })
    expect(stderr).toBe(
      'No stack runs and no service is given: this is a stack of its own, with a sample, gone afterwards.\n',
    )
  },
)

test('the command that README prints writes nothing but the document to stdout', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [, command] = /and `(np[mx] [^`]*) <command>` works against it/.exec(readme) ?? []
  const { folder, remove } = await makeCheckout()
  try {
    const { code, stdout } = await endOf(paste(`${command} token ci --scopes read --json`, folder))
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ entry: { name: 'ci' } })
  } finally {
    await remove()
  }
})

test('nothing that people read prints a command whose stdout npm writes into', async () => {
  const files = globSync(
    ['README.md', '.env.example', 'docs/*.md', '{lib,local,console}/**/*.{ts,tsx,html}'],
    {
      cwd: root,
    },
  )
  const wrong = files.filter((file) => readFileSync(join(root, file), 'utf8').includes('npm run cli --'))
  expect(files.length).toBeGreaterThan(100)
  expect(wrong).toEqual([])
})

test('nothing takes the path of a URL for that of a file: in a folder whose name has a space they differ', () => {
  const files = globSync('{lib,functions,local,scripts,test}/**/*.{ts,mjs}', { cwd: root })
  const wrong = files.filter((file) =>
    /import\.meta\.url\)\.pathname/.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(files.length).toBeGreaterThan(300)
  expect(wrong).toEqual([])
})

test('what is missing is installed also where npm can write to no cache of its own', async () => {
  const [project, bin] = [join(cwd, 'project'), join(cwd, 'bin')]
  for (const folder of [join(project, 'scripts'), join(project, 'node_modules'), bin])
    await mkdir(folder, { recursive: true })
  for (const name of ['scripts/install.mjs', 'package-lock.json'])
    await copyFile(join(root, name), join(project, name))
  const said = join(cwd, 'said')
  await writeFile(
    join(bin, 'npm'),
    `#!/bin/sh\necho "$@" >> '${said}'\n: > "$npm_config_cache/written" && echo wrote >> '${said}'\n`,
  )
  await chmod(join(bin, 'npm'), 0o755)
  await writeFile(join(cwd, 'home'), 'a file, so that nobody, root included, can make a folder in it')
  const env = {
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HOME: join(cwd, 'home'),
    npm_config_cache: join(cwd, 'home/.npm'),
  }
  for (let run = 1; run <= 2; run++)
    await promisify(execFile)(process.execPath, [join(project, 'scripts/install.mjs')], { env })
  expect(await readFile(said, 'utf8'), 'installed once, with a cache').toBe('ci\nwrote\n')
})

test('what npm ci has installed by itself is not installed once more, but what is missing of it or another version is', async () => {
  const [project, bin] = [join(cwd, 'by-hand'), join(cwd, 'noting-bin')]
  const noted = join(project, 'node_modules/.package-lock.json')
  for (const folder of [join(project, 'scripts'), join(project, 'node_modules'), bin])
    await mkdir(folder, { recursive: true })
  for (const name of ['scripts/install.mjs', 'package-lock.json', 'node_modules/.package-lock.json'])
    await copyFile(join(root, name), join(project, name))
  const said = join(cwd, 'said-by-npm')
  await writeFile(join(bin, 'npm'), `#!/bin/sh\necho "$@" >> '${said}'\n`)
  await chmod(join(bin, 'npm'), 0o755)
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, HOME: cwd }
  const start = () => promisify(execFile)(process.execPath, [join(project, 'scripts/install.mjs')], { env })
  await start()
  expect(existsSync(said)).toBe(false)

  const { packages, ...more } = JSON.parse(await readFile(noted, 'utf8'))
  const { 'node_modules/zod': zod, ...others } = packages
  const native =
    Object.keys(packages).find(
      (name) => packages[name].optional && packages[name].cpu && !packages[name].libc,
    ) ?? ''
  const wrong = [others, { ...others, 'node_modules/zod': { ...zod, version: '0.0.1' } }]
  for (const held of [...wrong, { ...packages, [native]: undefined }]) {
    await rm(said, { force: true })
    await rm(join(project, 'node_modules/.installed-lock'), { force: true })
    await writeFile(noted, JSON.stringify({ ...more, packages: held }))
    await start()
    expect(await readFile(said, 'utf8')).toBe('ci\n')
  }
})

test('the program installs nothing where npm was told to run no scripts before a command, and says what does', async () => {
  const project = join(cwd, 'as-a-program')
  for (const folder of ['bin', 'scripts', 'local', 'node_modules'])
    await mkdir(join(project, folder), { recursive: true })
  for (const name of ['bin/taskmaster-reset.mjs', 'scripts/install.mjs', 'package-lock.json'])
    await copyFile(join(root, name), join(project, name))
  for (const name of ['local/quick-load.mjs', 'local/cli.ts'])
    await writeFile(join(project, name), "process.stdout.write('started ')\n")
  await writeFile(join(cwd, 'npm'), '#!/bin/sh\necho installed >&2\n')
  await chmod(join(cwd, 'npm'), 0o755)
  const env = { PATH: `${cwd}${delimiter}${process.env.PATH}`, HOME: cwd }
  const program = join(project, 'bin/taskmaster-reset.mjs')
  const start = (more = {}) => promisify(execFile)(process.execPath, [program], { env: { ...env, ...more } })
  const told = { npm_config_ignore_scripts: 'true' }
  await expect(start(told)).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^The packages .*node scripts\/install\.mjs/),
  })
  const installing = [join(project, 'scripts/install.mjs')]
  const did = await promisify(execFile)(process.execPath, installing, { env: { ...env, ...told } })
  expect(did.stderr).toMatch(/installed$/m)
  await rm(join(project, 'node_modules/.installed-lock'))
  expect(await start()).toMatchObject({
    stdout: 'started started ',
    stderr: expect.stringContaining('installed'),
  })
  expect(await start(told)).toMatchObject({ stdout: 'started started ', stderr: '' })
})

test.runIf(isFull)(
  `of commands that are started at once one installs, and the others wait for it; a dead one is not waited for ${inFullForm}`,
  async () => {
    const [project, bin] = [join(cwd, 'twice'), join(cwd, 'slow-bin')]
    for (const folder of [join(project, 'scripts'), bin]) await mkdir(folder, { recursive: true })
    for (const name of ['scripts/install.mjs', 'package-lock.json'])
      await copyFile(join(root, name), join(project, name))
    const [said, isOver] = [join(cwd, 'said-twice'), join(cwd, 'is-over')]
    // As npm ci does it: what was there is taken away first.
    await writeFile(
      join(bin, 'npm'),
      `#!/bin/sh\nrm -rf node_modules; echo begins >> '${said}'; while [ ! -e '${isOver}' ]; do sleep 0.1; done; mkdir node_modules; echo ends >> '${said}'\n`,
    )
    await chmod(join(bin, 'npm'), 0o755)
    const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, HOME: cwd }
    let told = ''
    const start = async () => {
      const child = spawn(process.execPath, [join(project, 'scripts/install.mjs')], { env })
      child.stderr.on('data', (text) => (told += text))
      const { code, stderr } = await endOf(child)
      expect(code, stderr).toBe(0)
      return stderr
    }
    const all = Promise.all([start(), start(), start()])
    await vi.waitFor(() => expect(told.match(/waiting for it/g)).toHaveLength(2), 60_000)
    await writeFile(isOver, '')
    await all
    expect(await readFile(said, 'utf8')).toBe('begins\nends\n')

    await rm(join(project, 'node_modules'), { recursive: true })
    const dead = spawn(process.execPath, ['--version'])
    await once(dead, 'exit')
    await writeFile(join(project, '.installing'), String(dead.pid))
    expect(await start()).not.toContain('waiting for it')
    expect(await readFile(said, 'utf8')).toBe('begins\nends\nbegins\nends\n')
    expect(existsSync(join(project, '.installing'))).toBe(false)
  },
)

test.runIf(isFull)(
  `on an older Node it goes on with the one that is installed with the packages ${inFullForm}`,
  async (context) => {
    const folders = (process.env.PATH ?? '')
      .split(delimiter)
      .filter((folder) => !folder.includes(`node_modules${sep}`))
    const older = folders.map((folder) => join(folder, 'node')).find(isExecutable)
    if (older === undefined) return context.skip('There is no Node on the path but our own')
    const version = (await promisify(execFile)(older, ['--version'])).stdout
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= 24)
      return context.skip(`The Node on the path is no older one: ${version}`)
    const script = ['--import', './local/quick-load.mjs', 'local/cli.ts']
    const help = await promisify(execFile)(older, [...script, '--help'], { cwd: root })
    expect(help.stdout).toContain('reset')
    const wrong = promisify(execFile)(older, [...script, 'rest'], { cwd: root })
    await expect(wrong).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('InvalidRequest') })
  },
)
