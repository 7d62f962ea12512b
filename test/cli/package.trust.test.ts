import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { machine } from '../support/needs.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useCliStack } from './cli-stack.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)
const cli = useCliStack()

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packed-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test.runIf(isFull)(`npx runs the program in a checkout, by its sources ${inFullForm}`, async () => {
  const { stdout } = await run('npx', ['taskmaster-reset', 'backups', '--json'], {
    cwd: root,
    env: { ...machine, ...cli.stack.env, HOME: folder, npm_config_ignore_scripts: 'true' },
  })
  expect(Object.keys(JSON.parse(stdout))).toContain('backups')
})

describe.runIf(isFull)(`a package ${inFullForm}`, () => {
  const program = () => join(folder, 'package/bin/taskmaster-reset.mjs')
  /** Where no folder above has a node_modules. */
  const packed = (args: string[], env: Record<string, string> = {}) =>
    run(process.execPath, [program(), ...args], { cwd: folder, env: { ...machine, ...env } })

  beforeAll(async () => {
    await run('npm', ['pack', '--silent', '--pack-destination', folder], {
      cwd: root,
      env: { ...machine, HOME: folder },
    })
    await run('sh', ['-c', 'tar xzf *.tgz'], { cwd: folder })
  })

  test('holds the program and what it needs, and neither sources nor the embedded stack', async () => {
    const { stdout } = await run('sh', ['-c', 'cd package && find . -type f | grep -v "^./dist/cli/"'], {
      cwd: folder,
    })
    expect(stdout.trim().split('\n').sort()).toEqual([
      ...['./.env.example', './LICENSE', './README.md', './bin/taskmaster-reset.mjs', './package.json'],
    ])
  })

  test('works on the services that the environment names, and writes one JSON document', async () => {
    const taken = await packed(['backup', '--json'], cli.stack.env)
    const { backupId } = JSON.parse(taken.stdout)
    const listed = await packed(['backups', '--json'], cli.stack.env)
    expect(JSON.parse(listed.stdout).backups[0].backupId).toBe(backupId)
    const brought = await packed(['download', 'latest', 'brought', '--json'], cli.stack.env)
    expect(JSON.parse(brought.stdout)).toMatchObject({
      backupId,
      folder: join(folder, 'brought'),
      resumed: false,
    })
  })

  test('says what it lacks where no service is named, and promises no stack of its own', async () => {
    await expect(packed(['backups'])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/names no service.*a checkout of the project/),
    })
    const { stdout } = await packed(['help'])
    expect(stdout).toMatch(/^Usage: taskmaster-reset <command>/)
    expect(stdout).not.toContain('npm run')
  })
})
