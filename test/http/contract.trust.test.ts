import { afterAll, beforeAll, expect, test } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import { makeApp } from '../../lib/http/app.ts'
import { behindGateway } from '../../lib/http/gateway.ts'
import { currentClients } from '../../lib/task.ts'
import type { HttpHandler } from '../../local/http-front.ts'
import { startJsonService } from '../deployment/json-front.ts'
import { backupBucket, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { tokenOf, useApi } from './api-stack.ts'
import { eventOf, useRecorder } from './recorder.ts'

// Every status that the document has for a route is provoked here, and each answer compared with it by the recorder; what
// other tests provoke is compared as well, whichever status that is.

let beforeTask: (state: string) => void | Promise<void> = () => {}
const api = useApi({ beforeTask: (state) => beforeTask(state) })
const record = useRecorder()
const start = { operation: 'backup', strategy: 'cache-only' } as const
const prefix = '.taskmaster/backups/'

/** Two sealed backups, the older of which may be deleted, and a run that is over. */
let [older, newer, over] = ['', '', '']
/** A diff that tells rows. */
let telling = ''
let ssm: Awaited<ReturnType<typeof startJsonService>>
beforeAll(async () => {
  await api.reset.seed({ users: 2, files: 1, keys: 1 })
  const { backupId: held } = await api.follow({ ...start, strategy: 'database-only' })
  telling = (await api.follow({ operation: 'diff', backupId: held, rows: { table: 'users' } })).runId
  older = (await api.follow(start)).backupId
  const { backupId, runId } = await api.follow(start)
  newer = backupId
  over = runId
  ssm = await startJsonService(async () => ({ status: 500, body: { __type: 'InternalServerError' } }))
})
afterAll(() => ssm?.stop())

type Call = { operation: string; method: string; path: string; body?: object }
const calls = (): Call[] => [
  { operation: 'getSession', method: 'GET', path: '/v1/session' },
  { operation: 'listTokens', method: 'GET', path: '/v1/tokens' },
  { operation: 'listSchedules', method: 'GET', path: '/v1/schedules' },
  { operation: 'getNextReset', method: 'GET', path: '/v1/next-reset' },
  { operation: 'getOptions', method: 'GET', path: '/v1/options' },
  { operation: 'getStatus', method: 'GET', path: '/v1/status' },
  { operation: 'listRuns', method: 'GET', path: '/v1/runs' },
  { operation: 'getRun', method: 'GET', path: `/v1/runs/${over}` },
  { operation: 'getRunRows', method: 'GET', path: `/v1/runs/${telling}/rows` },
  { operation: 'startRun', method: 'POST', path: '/v1/runs', body: start },
  { operation: 'cancelRun', method: 'POST', path: `/v1/runs/${over}/cancel` },
  { operation: 'listBackups', method: 'GET', path: '/v1/backups' },
  { operation: 'getBackup', method: 'GET', path: `/v1/backups/${newer}` },
  { operation: 'pinBackup', method: 'PUT', path: `/v1/backups/${newer}/pin`, body: { pinned: true } },
  { operation: 'changeBackup', method: 'PATCH', path: `/v1/backups/${newer}`, body: { pinned: true } },
  { operation: 'downloadPart', method: 'GET', path: `/v1/backups/${newer}/parts/manifest.json` },
  { operation: 'deleteBackup', method: 'DELETE', path: `/v1/backups/${older}?confirm=local` },
  { operation: 'getProblem', method: 'GET', path: '/problems/RunActive' },
]
const callOf = (operation: string) => calls().find((one) => one.operation === operation) as Call

/** Asks each of the routes, and expects of all the same status. */
async function all(status: number, asked: object, { but = [] as string[], query = '' } = {}): Promise<void> {
  const some = calls().filter(({ operation }) => !['getProblem', 'getNextReset', ...but].includes(operation))
  const answers = await Promise.all(
    some.map(async ({ operation, method, path, ...sent }) => {
      const separator = path.includes('?') ? '&' : '?'
      const address = query === '' ? path : `${path}${separator}${query}`
      return [operation, (await api.ask(method, address, { ...sent, ...asked })).status]
    }),
  )
  expect(answers).toEqual(some.map(({ operation }) => [operation, status]))
}

const asking = async (operation: string, asked: object = {}, path?: string) => {
  const call = callOf(operation)
  return (await api.ask(call.method, path ?? call.path, { ...(call.body && { body: call.body }), ...asked }))
    .status
}

test.runIf(isFull)(
  `what every route refuses: without a token, a scope, a query that it knows, a configuration, a list of tokens ${inFullForm}`,
  async () => {
    await all(401, { as: null })
    await all(403, { as: 'none' }, { but: ['getSession'] })
    await all(400, {}, { query: 'no-such-parameter=1' })
    await withVariables({ ENVIRONMENT: 'No Name!' }, async () => {
      await all(500, {})
      expect(await asking('getNextReset', { as: null })).toBe(500)
    })
    const tokensInSsm = {
      API_TOKENS: 'ssm:/tokens',
      AWS_ENDPOINT_URL_SSM: ssm.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    }
    await withVariables(tokensInSsm, () => all(503, {}))
    const secretInSsm = { ...tokensInSsm, DATABASE_URL: 'ssm:/database-url' }
    await withVariables(secretInSsm, async () => expect(await asking('getNextReset', { as: null })).toBe(503))
  },
)

test.runIf(isFull)(
  `what every route says to who asks too often, and the runbook when it cannot be read ${inFullForm}`,
  async () => {
    // However slowly it is asked: what was let through comes back in a quarter of an hour.
    const perSecond = 0.001
    const never = { burst: 0, perSecond }
    const often = { burst: 100, perSecond: 100 }
    const runbook = new URL('../../docs/operations.md', import.meta.url)
    /** The same API with other limits, and perhaps without its runbook. */
    const other = (token: typeof never, address: typeof never, documents = [runbook]) => {
      const app = makeApp({ clients: currentClients, pageFolders: [], documents, rates: { token, address } })
      return record(behindGateway(app) as HttpHandler, api.recorder.seen).handler
    }
    const busy = other(never, often)
    const headers = { authorization: `Bearer ${tokenOf('all')}`, 'content-type': 'application/json' }
    for (const { method, path, body, operation } of calls()) {
      if (operation === 'getProblem' || operation === 'getNextReset') continue
      const [rawPath = '', rawQueryString = ''] = path.split('?')
      const sent = { headers, rawQueryString, ...(body && { body: JSON.stringify(body) }) }
      expect([operation, (await busy(eventOf(method, rawPath, sent))).statusCode]).toEqual([operation, 429])
    }
    const reset = callOf('getNextReset')
    // A token helps nobody where none is asked for; the recorder asks from another address.
    const some = other(often, { burst: 3, perSecond })
    const http = { method: reset.method, sourceIp: '203.0.113.9' }
    const asked = []
    for (let time = 0; time < 5; time++) {
      const event = eventOf(reset.method, reset.path, {
        headers,
        requestContext: { requestId: 'of-a-test', http },
      })
      asked.push((await some(event)).statusCode)
    }
    expect(asked).toContain(429)
    const { method, path } = callOf('getProblem')
    const folder = new URL('../../docs/', import.meta.url)
    expect((await other(never, often, [folder])(eventOf(method, path))).statusCode).toBe(500)
    const flooded = other(never, { burst: 2, perSecond })
    const statuses = []
    for (let time = 0; time < 4; time++) statuses.push((await flooded(eventOf(method, path))).statusCode)
    expect(statuses).toContain(429)
  },
)

test.runIf(isFull)(`what a route answers when it does what it is asked ${inFullForm}`, async () => {
  for (const operation of [
    'getSession',
    'listTokens',
    'listSchedules',
    'getOptions',
    'getStatus',
    'listRuns',
    'getRun',
    'getRunRows',
    'listBackups',
    'getBackup',
    'pinBackup',
    'changeBackup',
    'downloadPart',
    'getProblem',
  ])
    expect([operation, await asking(operation)]).toEqual([operation, 200])
  await withVariables({ PUBLIC_NEXT_RESET: 'true' }, async () =>
    expect(await asking('getNextReset', { as: null })).toBe(200),
  )
  for (const operation of ['listRuns', 'getRun', 'listBackups', 'getBackup'])
    expect(await asking(operation, { headers: { 'if-none-match': '*' } })).toBe(304)
})

test.runIf(isFull)(`what is not there, too large, no JSON, or against a rule ${inFullForm}`, async () => {
  expect(await asking('getRun', {}, '/v1/runs/nobody')).toBe(404)
  for (const runId of ['nobody', over])
    expect(await asking('getRunRows', {}, `/v1/runs/${runId}/rows`)).toBe(404)
  expect(await asking('cancelRun', {}, '/v1/runs/nobody/cancel')).toBe(404)
  expect(await asking('getNextReset')).toBe(404)
  expect(await asking('getProblem', {}, '/problems/NoSuchError')).toBe(404)
  expect(await asking('getProblem', {}, '/problems/a%20b')).toBe(400)
  const nowhere = '/v1/backups/2020-01-01T00-00-00Z-000000'
  expect(await asking('getBackup', {}, nowhere)).toBe(404)
  expect(await asking('pinBackup', {}, `${nowhere}/pin`)).toBe(404)
  expect(await asking('changeBackup', {}, nowhere)).toBe(404)
  expect(await asking('downloadPart', {}, `${nowhere}/parts/manifest.json`)).toBe(404)
  expect(await asking('deleteBackup', {}, `${nowhere}?confirm=local`)).toBe(404)
  const several = `/v1/backups/${newer.slice(0, 'yyyy'.length)}`
  expect(await asking('getBackup', {}, several)).toBe(409)
  expect(await asking('downloadPart', {}, `${several}/parts/manifest.json`)).toBe(409)
  for (const operation of ['startRun', 'cancelRun', 'pinBackup', 'changeBackup', 'deleteBackup'])
    expect(await asking(operation, { body: 'x'.repeat(65 * 1024) })).toBe(413)
  for (const operation of ['startRun', 'pinBackup', 'changeBackup', 'deleteBackup'])
    expect(await asking(operation, { body: '{}', headers: { 'content-type': 'text/plain' } })).toBe(415)
  expect(await asking('startRun', { body: { operation: 'reset', strategy: 'full', confirm: 'other' } })).toBe(
    422,
  )
  expect(await asking('deleteBackup', {}, `/v1/backups/${older}?confirm=other`)).toBe(422)
  const { admin } = api.reset.stack
  await admin.query('ALTER SCHEMA taskmaster_reset RENAME TO elsewhere')
  expect(await asking('listRuns')).toBe(422)
  // What can be told without a ledger is told; other variables are another process's, which remembers nothing.
  await withVariables({ MAX_KEYS: '1000000' }, async () => {
    for (const operation of ['getStatus', 'listBackups', 'getBackup'])
      expect([operation, await asking(operation)]).toEqual([operation, 200])
  })
  await admin.query('ALTER SCHEMA elsewhere RENAME TO taskmaster_reset')
})

test.runIf(isFull)(
  `what a backup of another environment, or one that is being pruned, is refused with ${inFullForm}`,
  async () => {
    const keys = backupKeys(prefix, newer)
    const real = (await api.reset.bytesOf(keys.manifest)).toString()
    const { digest: _, signature: __, ...manifest } = JSON.parse(real) as Manifest
    const { SIGNING_KEYS } = (await currentClients()).config
    const foreign = sealed(SIGNING_KEYS, { ...manifest, environment: 'elsewhere' })
    await api.reset.put(keys.manifest, JSON.stringify(foreign), backupBucket)
    for (const operation of ['pinBackup', 'changeBackup', 'downloadPart'])
      expect([operation, await asking(operation)]).toEqual([operation, 422])
    await api.reset.put(keys.manifest, '{"version":1}', backupBucket)
    expect(await asking('getBackup')).toBe(422)
    await api.reset.put(keys.manifest, real, backupBucket)
    await api.reset.put(keys.tombstone, '{}', backupBucket)
    expect([await asking('pinBackup'), await asking('changeBackup')]).toEqual([409, 409])
    await api.reset.remove(backupBucket, [keys.tombstone])
  },
)

test.runIf(isFull)(
  `what stands in the way of a run, and how one is started, called off, and deletes a backup ${inFullForm}`,
  async () => {
    const { promise: reached, resolve: arrive } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    beforeTask = async (state) => {
      if (state !== 'Seal') return
      arrive()
      await released
    }
    const { status, body: run } = await api.ask('POST', '/v1/runs', { body: start })
    expect(status).toBe(202)
    await reached
    for (const operation of ['startRun', 'deleteBackup', 'cancelRun'])
      expect([operation, await asking(operation)]).toEqual([operation, 409])
    expect(await asking('cancelRun', {}, `/v1/runs/${run.runId}/cancel`)).toBe(200)
    release()
    await api.ended(run.runId)
    const deletion = await api.ask('DELETE', `/v1/backups/${older}?confirm=local`)
    expect(deletion.status).toBe(202)
    await api.ended(deletion.body.runId)
  },
)

test.runIf(isFull)(`every status that the document has for a route was provoked above ${inFullForm}`, () => {
  const documented = Object.values(api.document.paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ operationId, responses }) =>
      Object.keys(responses).map((status) => `${operationId} ${status}`),
    ),
  )
  expect(documented.filter((one) => !api.recorder.seen.has(one)).sort()).toEqual([])
  expect(documented.length).toBeGreaterThan(100)
})
