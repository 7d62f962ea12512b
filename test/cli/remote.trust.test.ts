import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accessTo } from '../../local/cli/remote/address.ts'
import { startHttpFront } from '../../local/http-front.ts'
import { tokenOf, useApi } from '../http/api-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { runScript } from './run-script.ts'

describe('access to an API', () => {
  const token = { TASKMASTER_RESET_TOKEN: 'tmr_secret' }

  test.each([
    ['https://api.example/', 'https://api.example'],
    ['https://api.example/stage/v1/', 'https://api.example/stage'],
    ['http://127.0.0.1:8484', 'http://127.0.0.1:8484'],
    ['http://localhost:8484/v1', 'http://localhost:8484'],
    ['http://[::1]:8484', 'http://[::1]:8484'],
  ])('goes to %s', (api, url) => {
    expect(accessTo(api, undefined, token)).toEqual({ url, token: 'tmr_secret' })
  })

  test.each([
    'http://api.example',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'ftp://localhost',
    'https://somebody:tmr_secret@api.example',
    'https://api.example/?token=tmr_secret',
    'https://api.example/#tmr_secret',
    'api.example',
  ])('never goes to %s, and what is said of it holds no secret', (api) => {
    expect(() => accessTo(api, undefined, token)).toThrow(/^--api /)
    expect(() => accessTo(api, undefined, token)).not.toThrow(/tmr_secret/)
  })

  test('needs one token, of a file or the environment, and never says it', () => {
    expect(() => accessTo('https://api.example', undefined, {})).toThrow(/needs a token/)
    const two = { TASKMASTER_RESET_TOKEN: 'tmr_secret tmr_other' }
    expect(() => accessTo('https://api.example', undefined, two)).toThrow(/one token, and nothing else$/)
    expect(() => accessTo('https://api.example', '/nowhere/token', token)).toThrow(/cannot be read/)
  })
})

describe.runIf(isFull)(`the command line with a token alone ${inFullForm}`, () => {
  const api = useApi()
  let folder: string
  let front: Awaited<ReturnType<typeof startHttpFront>>
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remote-'))
    await api.reset.seed({ users: 5, files: 2, keys: 3 })
    const { handler } = await import('../../functions/api.ts')
    front = await startHttpFront(handler as Parameters<typeof startHttpFront>[0])
  })
  afterAll(async () => {
    await front?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  /** Without any variable that names a service. */
  const cli = (args: string[], as = 'all') =>
    runScript('cli', [...args, '--api', front.url], {
      cwd: folder,
      env: { TASKMASTER_RESET_TOKEN: tokenOf(as) },
    })

  test('takes a backup, names it, resets, and puts it back: as with the services themselves', async () => {
    const taken = await cli(['backup', '--json'])
    expect(taken).toMatchObject({ code: 0, json: { operation: 'backup', status: 'succeeded' } })
    expect(taken.stderr).toMatch(/^✓ Seal +\d/m)
    const { backupId, runId } = taken.json
    expect((await cli(['label', backupId, 'baseline', '--note', 'n'])).stdout).toBe(
      `${backupId} is called baseline: n.\n`,
    )
    expect((await cli(['backups'])).stdout).toMatch(new RegExp(`^${backupId} .* baseline {2}n$`, 'm'))
    const reset = await cli(['reset', 'files-only', '--confirm', 'local'])
    expect([reset.code, reset.stdout]).toEqual([0, expect.stringContaining('files     wiped')])
    expect(reset.stdout).toContain(`--confirm local --api ${front.url}`)
    expect(reset.stderr).toMatch(/It is about:\n {2}files +s3:/)
    expect((await cli(['restore', 'baseline', '--confirm', 'local'])).code).toBe(0)
    const { steps, ...told } = (await cli(['runs', runId, '--json'])).json
    expect(told).toEqual(taken.json)
    expect(steps).toMatchObject({ Seal: { from: expect.any(String), to: expect.any(String) } })
    expect((await cli(['runs', runId])).stdout).toMatch(/^ {2}Seal +\d+\.\d\d s$/m)
    expect((await cli(['runs', '--limit', '1', '--json'])).json.runs).toMatchObject([
      { operation: 'restore' },
    ])
    expect((await cli(['diff', backupId, '--rows', 'users'])).stdout).toMatch(
      /No row of public\.users differs|cannot be told/,
    )
    const back = await cli(['reset', 'full', '--to', 'baseline', '--confirm', 'local'])
    expect([back.code, back.stdout]).toEqual([
      0,
      expect.stringContaining('(reset full to baseline) succeeded'),
    ])
    expect((await cli(['runs', '--limit', '1'])).stdout).toMatch(
      new RegExp(` reset +full +succeeded +to baseline, ${backupId}\n`),
    )
    const newest = (await cli(['runs', '--limit', '1'])).stdout
    const before = /^Earlier ones: .* runs --before (\S+) --api /m.exec(newest)?.[1] ?? ''
    expect((await cli(['runs', '--limit', '1', '--before', before])).stdout).toMatch(/ diff /)
    const dry = await cli(['reset', 'full', '--dry-run'])
    expect(dry.stdout).toMatch(/With this request, the reset would do this/)
    expect((await cli(['options'])).stdout).toContain('Environment "local"')
    expect((await cli(['schedule', '--json'])).json).toEqual({ schedules: [] })
    const { stdout: stands } = await cli(['status'])
    expect(stands).toMatch(/^ {2}last proved backup +\d{4}-.*\(/m)
    expect(stands).toMatch(new RegExp(`^ {2}label baseline +${backupId}$`, 'm'))
    expect(stands).toMatch(/^ {2}last thirty nights +·+✓$/m)
    expect((await cli(['tokens'])).stdout).toMatch(/^restore +restore +never expires/m)
    expect((await cli(['unpin', 'baseline'])).code).toBe(0)

    const [there, here] = [join(folder, 'over the api'), join(folder, 'from the bucket')]
    const fetched = await cli(['download', 'baseline', there, '--json'])
    expect(fetched).toMatchObject({ code: 0, json: { backupId, rows: 32, files: 2 } })
    const own = await runScript('cli', ['download', 'baseline', here], {
      cwd: folder,
      env: api.reset.stack.env,
    })
    expect(own.code).toBe(0)
    // Who has no key cannot tell who signed: README says that, and what would be run as SQL to make tables stays out.
    const saysWhoSigned = ['.download.json', 'README', 'schema.sql']
    const contents = async (at: string) =>
      (await readdir(at, { recursive: true, withFileTypes: true }))
        .filter((one) => one.isFile() && !saysWhoSigned.includes(one.name))
        .map((one) => join(one.parentPath, one.name))
        .sort()
        .map((file) => [file.slice(at.length), createHash('sha256').update(readFileSync(file)).digest('hex')])
    expect((await contents(there)).length).toBeGreaterThan(6)
    expect(await contents(there)).toEqual(await contents(here))
  })

  test('ends with the code of who has to act: a token without the scope, without any, an id or a command that there is not', async () => {
    expect(await cli(['backup', '--json'], 'read')).toMatchObject({
      code: 3,
      json: { error: { name: 'Forbidden' } },
    })
    expect(await cli(['backups', '--json'], 'nobody')).toMatchObject({
      code: 3,
      json: { error: { name: 'Unauthorized' } },
    })
    expect((await cli(['runs', 'gone'])).code).toBe(2)
    expect((await cli(['download', 'latest', join(folder, 'none')], 'read')).stderr).toContain(
      'lacks the scope "restore"',
    )
    expect((await cli(['verify', 'gone-for-good'])).code).toBe(2)
    expect((await cli(['reset', 'full', '--confirm', 'other'])).code).toBe(3)
  })

  test('says no token when the address answers something else, is not there, or leads elsewhere', async () => {
    const seen: unknown[] = []
    const elsewhere = createServer(({ headers }, answer) => {
      seen.push(headers.authorization)
      answer.writeHead(302, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/` }).end()
    })
    const other = createServer((_, answer) => {
      seen.push('followed')
      answer.end('{}')
    })
    for (const server of [elsewhere, other])
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
    const file = join(folder, 'token')
    await writeFile(file, 'tmr_secret\n')
    await chmod(file, 0o600)
    const asked = (api: string) =>
      runScript('cli', ['backups', '--json', '--api', api, '--token-file', file], { cwd: folder })
    const led = await asked(url)
    expect(led).toMatchObject({ code: 1, json: { error: { name: 'UnexpectedAnswer' } } })
    expect(seen).toEqual(['Bearer tmr_secret'])
    for (const server of [elsewhere, other]) await new Promise((done) => server.close(done))
    const gone = await asked(url)
    expect(gone).toMatchObject({ code: 1, json: { error: { name: 'StoreUnavailable' } } })
    for (const { stdout, stderr } of [led, gone]) expect(stdout + stderr).not.toContain('tmr_secret')
  })
})
