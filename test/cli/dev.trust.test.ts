import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freePort } from '../../local/loopback.ts'
import { blocksOf, commandsOf, printedBelow } from '../documents/blocks.ts'
import { makeCheckout, paste } from '../support/checkout.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { endOf, runScript } from './run-script.ts'

if (!isFull) vi.setConfig({ testTimeout: 90_000 })
/** The commands of README.md: the first of these keeps the stack running, the others are for another terminal. */
const [start, ...others] = commandsOf('README.md').slice(1)
let checkout: Awaited<ReturnType<typeof makeCheckout>>
let cwd: string
let dev: ChildProcess
let pid: number
let stdout = ''
/** README.md's port, and the one that takes its place where somebody has it: who follows README.md, say. */
let port: [string, string]

const file = () => join(cwd, '.taskmaster-dev.json')
const here = (text: string) => text.replaceAll(...port)

beforeAll(async () => {
  if (start === undefined) throw new Error('README.md does not say how the stack is kept running')
  checkout = await makeCheckout()
  cwd = checkout.folder
  const [, said = ''] = /\bPORT=(\d+) /.exec(start.text) ?? []
  port = [said, (await isTaken(Number(said))) ? String(await freePort()) : said]
  // What a stack that was killed left behind; no process has this id.
  await writeFile(file(), JSON.stringify({ pid: 2 ** 22 + 1, env: {} }))
  dev = paste(here(start.text), cwd)
  dev.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  dev.stderr?.resume()
  await vi.waitFor(() => expect(stdout).toContain('Ctrl-C ends it.'), { timeout: 90_000 })
  pid = JSON.parse(await readFile(file(), 'utf8')).pid
})
afterAll(async () => {
  if (pid !== undefined && dev.exitCode === null) process.kill(pid, 'SIGKILL')
  await checkout?.remove()
})

async function isTaken(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const taken = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return taken
}

test('npm run dev says where each service is, without a secret of it', async () => {
  for (const service of ['database', 'cache', 'files', 'state machine'])
    expect(stdout).toContain(`  ${service} `)
  const { env } = JSON.parse(await readFile(file(), 'utf8'))
  expect(stdout).not.toContain(env.UPSTASH_REDIS_REST_TOKEN)
  expect(statSync(file()).mode & 0o777).toBe(0o600)
})

test('it prints the address of the page and the API, and a token that works there', async () => {
  const [, url, token] = /(http:\/\/127\.0\.0\.1:\d+)\n\s+Token: (\S+)/.exec(stdout) ?? []
  if (start === undefined) throw new Error('see above')
  expect(stdout).toContain(here(printedBelow('README.md', start)))
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

test.runIf(isFull)(`a second one says so and exits 2 ${inFullForm}`, async () => {
  const { code, stderr } = await runScript('dev', [], { cwd })
  expect(code).toBe(2)
  expect(stderr).toContain(`runs already (process ${pid})`)
})

test.runIf(isFull)(`a token that somebody thought of opens no given service ${inFullForm}`, async () => {
  const given = {
    DEV_TOKEN: 'try-it-out',
    DATABASE_URL: 'postgres://a:b@127.0.0.1:1/other',
    REDIS_URL: 'redis://127.0.0.1:1',
    AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
  }
  const { code, stderr } = await runScript('dev', [], { env: given })
  expect(code).toBe(1)
  expect(stderr).toContain('DEV_TOKEN opens a stack of its own only')
})

test.runIf(isFull)(
  `the CLI works against it; stores that the environment names come first ${inFullForm}`,
  async () => {
    const [options, other] = await Promise.all([
      runScript('cli', ['options', '--json'], { cwd }),
      runScript('cli', ['options', '--json'], {
        cwd,
        env: { DATABASE_URL: 'postgres://a:b@127.0.0.1:1/other' },
      }),
    ])
    expect(options.json).toMatchObject({ environment: 'local', claimed: true })
    expect(options.json.database.tables).toHaveLength(7)
    expect(options.stderr).toMatch(/^This is the stack of "npm run dev" \(process \d+\)\.\n$/)
    expect(other).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('names other services than "npm run dev"'),
    })
  },
)

test.runIf(isFull)(
  "README's commands for another terminal do what they say, pasted as they stand (full form)",
  async () => {
    expect(others.length).toBeGreaterThan(0)
    for (const { text, line } of others) {
      const { code, stdout: said, stderr } = await endOf(paste(here(text), cwd))
      expect([code, stderr], `README.md:${line}: … ${said.slice(-500)}`).toEqual([0, ''])
    }
    const { json } = await runScript('cli', ['runs', '--json'], { cwd })
    const [, id] = /"backupId": *"([^"]+)"/.exec(await readFile(join(cwd, 'manifest.json'), 'utf8')) ?? []
    const told = json.runs.map((run: Record<string, unknown>) => [run.operation, run.status])
    expect(told).toEqual([
      ['delete', 'succeeded'],
      ['backup', 'cancelled'],
      ['backup', 'succeeded'],
      ['reset-to', 'succeeded'],
      ['reset', 'succeeded'],
      ['reset', 'succeeded'],
      ['claim', 'succeeded'],
    ])
    expect(json.runs[4].backupId).toBe(id)
    const after = await runScript('cli', ['options', '--json'], { cwd })
    const rows = after.json.database.tables.reduce((sum: number, one: { rows: number }) => sum + one.rows, 0)
    expect([rows, after.json.files.objects, after.json.cache.keys]).toEqual([5390, 120, 300])
  },
)

test('the refusal that README shows is the one that is given', async () => {
  const shown = blocksOf('README.md').filter(({ language }) => language === 'json')
  expect(shown).toHaveLength(1)
  const [, url, token] = /(http:\/\/127\.0\.0\.1:\d+)\n\s+Token: (\S+)/.exec(stdout) ?? []
  const answer = await fetch(`${url}/v1/runs`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{"operation":"reset","strategy":"full"}',
  })
  const { requestId, ...refusal } = JSON.parse(shown[0]?.text ?? '')
  expect(await answer.json()).toEqual({ ...refusal, requestId: expect.stringMatching(/^\S+$/) })
  expect(requestId).toMatch(/^\S+$/)
})

test('after SIGTERM nothing is left', async () => {
  const { env } = JSON.parse(await readFile(file(), 'utf8'))
  const ports = Object.values(env).flatMap((value) => /127\.0\.0\.1:(\d+)/.exec(String(value))?.[1] ?? [])
  expect(ports.length).toBeGreaterThan(3)
  const ended = once(dev, 'exit')
  process.kill(pid, 'SIGTERM')
  const [code] = await ended
  expect(code).toBe(0)
  expect(existsSync(file())).toBe(false)
  for (const port of ports) {
    const [error] = await once(connect(Number(port), '127.0.0.1'), 'error')
    expect(error.code).toBe('ECONNREFUSED')
  }
})
