import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { runScript, spawnScript } from './run-script.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 100_000 })
let cwd: string
let dev: ChildProcess
let stdout = ''

const file = () => join(cwd, '.taskmaster-dev.json')

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'dev-test-'))
  // What a stack that was killed left behind; no process has this id.
  await writeFile(file(), JSON.stringify({ pid: 2 ** 22 + 1, env: {} }))
  dev = spawnScript('dev', [], { cwd })
  dev.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  dev.stderr?.resume()
  await vi.waitFor(() => expect(stdout).toContain('Ctrl-C ends it.'), { timeout: 90_000 })
})
afterAll(async () => {
  dev.kill('SIGKILL')
  await rm(cwd, { recursive: true, force: true })
})

test('npm run dev says where each service is, without a secret of it', async () => {
  for (const service of ['database', 'cache', 'files', 'state machine'])
    expect(stdout).toContain(`  ${service} `)
  const { env } = JSON.parse(await readFile(file(), 'utf8'))
  expect(stdout).not.toContain(env.UPSTASH_REDIS_REST_TOKEN)
  expect(statSync(file()).mode & 0o777).toBe(0o600)
})

test('it prints the address of the page and the API, and a token that works there', async () => {
  const [, url, token] = /(http:\/\/127\.0\.0\.1:\d+)\n\s+Token: (\S+)/.exec(stdout) ?? []
  const session = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
  expect(await session.json()).toMatchObject({
    environment: 'local',
    scopes: expect.arrayContaining(['reset']),
  })
  expect((await fetch(`${url}/v1/session`)).status).toBe(401)
  const page = await fetch(`${url}/`)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(await readFile(file(), 'utf8')).not.toContain(token)
})

test('a second one says so and exits 2', async () => {
  const { code, stderr } = await runScript('dev', [], { cwd })
  expect(code).toBe(2)
  expect(stderr).toContain(`runs already (process ${dev.pid})`)
})

test('the CLI works against it; stores that the environment names come first', async () => {
  const [options, other] = await Promise.all([
    runScript('cli', ['options', '--json'], { cwd }),
    runScript('cli', ['options', '--json'], {
      cwd,
      env: { DATABASE_URL: 'postgres://a:b@127.0.0.1:1/other' },
    }),
  ])
  expect(options.json).toMatchObject({ environment: 'local', claimed: true })
  expect(options.json.database.tables).toHaveLength(7)
  expect(options.stderr).toBe('')
  expect(other).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('names other services than "npm run dev"'),
  })
})

test('after SIGTERM nothing is left', async () => {
  const { env } = JSON.parse(await readFile(file(), 'utf8'))
  const ports = Object.values(env).flatMap((value) => /127\.0\.0\.1:(\d+)/.exec(String(value))?.[1] ?? [])
  expect(ports.length).toBeGreaterThan(3)
  dev.kill('SIGTERM')
  const [code] = await once(dev, 'exit')
  expect(code).toBe(0)
  expect(existsSync(file())).toBe(false)
  for (const port of ports) {
    const [error] = await once(connect(Number(port), '127.0.0.1'), 'error')
    expect(error.code).toBe('ECONNREFUSED')
  }
})
