import { beforeAll, describe, expect, test } from 'vitest'
import { type Scope, scopes } from '../../lib/config/values.ts'
import { useFronts } from '../e2e/fronts.ts'
import { backupBucket, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { type Asked, useApi } from './api-stack.ts'

const api = useApi()
const fronts = useFronts(api.reset)

/** A sealed backup that may be deleted: a newer one is there, too. */
let [older, newest] = ['', '']
beforeAll(async () => {
  await api.reset.seed({ users: 20, files: 3, keys: 4 })
  const backup = { operation: 'backup', rehearse: false }
  older = (await api.follow(backup)).backupId
  newest = (await api.follow({ ...backup, label: 'baseline' })).backupId
})

type Entry = {
  does: string
  scope: Scope
  /** It wants the environment's name. */
  confirms: boolean
  /** What guards the stores guards it, too. */
  guarded: boolean
  request: (confirm?: string) => { method: string; path: string; body?: unknown }
}

const post = (body: object) => ({ method: 'POST', path: '/v1/runs', body })
const said = (confirm?: string) => (confirm === undefined ? {} : { confirm })

/** Every way into the API that is not a GET. The last test asks the API's own document whether one is missing. */
const entries: (Entry & { operationId: string; operation?: string })[] = [
  {
    does: 'POST /v1/runs reset',
    operationId: 'startRun',
    operation: 'reset',
    scope: 'reset',
    confirms: true,
    guarded: true,
    request: (confirm) => post({ operation: 'reset', strategy: 'full', ...said(confirm) }),
  },
  {
    does: 'POST /v1/runs reset without a backup',
    operationId: 'startRun',
    operation: 'reset',
    scope: 'reset',
    confirms: true,
    guarded: true,
    request: (confirm) =>
      post({ operation: 'reset', strategy: 'database-only', backup: false, ...said(confirm) }),
  },
  {
    does: 'POST /v1/runs reset to a label',
    operationId: 'startRun',
    operation: 'reset',
    scope: 'reset',
    confirms: true,
    guarded: true,
    request: (confirm) => post({ operation: 'reset', strategy: 'full', to: 'baseline', ...said(confirm) }),
  },
  {
    does: 'POST /v1/runs restore',
    operationId: 'startRun',
    operation: 'restore',
    scope: 'restore',
    confirms: true,
    guarded: true,
    request: (confirm) => post({ operation: 'restore', backupId: older, ...said(confirm) }),
  },
  {
    does: 'POST /v1/runs delete',
    operationId: 'startRun',
    operation: 'delete',
    scope: 'delete',
    confirms: true,
    guarded: true,
    request: (confirm) => post({ operation: 'delete', backupId: older, ...said(confirm) }),
  },
  {
    does: 'DELETE /v1/backups/{id}, confirmed in the query',
    operationId: 'deleteBackup',
    scope: 'delete',
    confirms: true,
    guarded: true,
    request: (confirm) => ({
      method: 'DELETE',
      path: `/v1/backups/${older}${confirm === undefined ? '' : `?confirm=${encodeURIComponent(confirm)}`}`,
    }),
  },
  {
    does: 'DELETE /v1/backups/{id}, confirmed in the body',
    operationId: 'deleteBackup',
    scope: 'delete',
    confirms: true,
    guarded: true,
    request: (confirm) => ({ method: 'DELETE', path: `/v1/backups/${older}`, body: said(confirm) }),
  },
  {
    does: 'POST /v1/runs claim',
    operationId: 'startRun',
    operation: 'claim',
    scope: 'reset',
    confirms: true,
    guarded: false,
    request: (confirm) => post({ operation: 'claim', ...said(confirm) }),
  },
  {
    does: 'POST /v1/runs backup',
    operationId: 'startRun',
    operation: 'backup',
    scope: 'backup',
    confirms: false,
    guarded: false,
    request: () => post({ operation: 'backup' }),
  },
  {
    does: 'POST /v1/runs verify',
    operationId: 'startRun',
    operation: 'verify',
    scope: 'read',
    confirms: false,
    guarded: false,
    request: () => post({ operation: 'verify', backupId: older }),
  },
  {
    does: 'POST /v1/runs diff',
    operationId: 'startRun',
    operation: 'diff',
    scope: 'backup',
    confirms: false,
    guarded: false,
    request: () => post({ operation: 'diff', backupId: older }),
  },
  {
    does: 'POST /v1/runs diff that tells rows',
    operationId: 'startRun',
    operation: 'diff',
    scope: 'restore',
    confirms: false,
    guarded: false,
    request: () => post({ operation: 'diff', backupId: older, rows: { table: 'users' } }),
  },
  {
    does: 'PUT /v1/backups/{id}/pin',
    operationId: 'pinBackup',
    scope: 'backup',
    confirms: false,
    guarded: false,
    request: () => ({ method: 'PUT', path: `/v1/backups/${older}/pin`, body: { pinned: true } }),
  },
  {
    does: 'PUT /v1/backups/{id}/pin, to unpin',
    operationId: 'pinBackup',
    scope: 'delete',
    confirms: false,
    guarded: false,
    request: () => ({ method: 'PUT', path: `/v1/backups/${older}/pin`, body: { pinned: false } }),
  },
  {
    does: 'PATCH /v1/backups/{id} with a label',
    operationId: 'changeBackup',
    scope: 'restore',
    confirms: false,
    guarded: false,
    request: () => ({ method: 'PATCH', path: `/v1/backups/${older}`, body: { label: 'golden' } }),
  },
]

/** What the short form tries: a run and a route that destroy, one that tells rows, and one that takes protection away. */
const quick = [
  'POST /v1/runs reset',
  'DELETE /v1/backups/{id}, confirmed in the query',
  'POST /v1/runs diff that tells rows',
  'PUT /v1/backups/{id}/pin, to unpin',
]
const tried = entries.filter(({ does }) => isFull || quick.includes(does))

/** Everything that a call could have changed. */
async function everything() {
  return {
    stores: await api.reset.fingerprint(),
    backups: await api.reset.objects(backupBucket),
    executions: await api.executions(),
    rows: (await api.reset.stack.admin.query('SELECT count(*) FROM taskmaster_reset.runs')).rows,
  }
}

/** Asks while every call to a store is seen; whatever the answer is, nothing may have changed. */
async function askInVain({ request }: Entry, asked: Asked & { confirm?: string }, variables = {}) {
  const before = await everything()
  fronts.s3.seen = []
  fronts.cache.seen = []
  fronts.database.connections = 0
  const { method, path, body } = request(asked.confirm)
  const answer = await withVariables({ ...fronts.variables, ...variables }, () =>
    api.ask(method, path, { ...asked, ...(body === undefined ? {} : { body }) }),
  )
  expect(await everything()).toEqual(before)
  const calls = fronts.s3.seen.length + fronts.cache.seen.length + fronts.database.connections
  return { ...answer, calls }
}

describe.each(tried)('$does', (entry) => {
  test('without a token, or with an unknown one, is refused, and no call was made', async () => {
    for (const as of [null, 'stranger']) {
      const { status, headers, body, calls } = await askInVain(entry, { as, confirm: 'local' })
      expect({ status, calls, title: body.title }).toEqual({ status: 401, calls: 0, title: 'Unauthorized' })
      expect(headers.get('www-authenticate')).toMatch(/^Bearer realm=/)
    }
  })

  test('without its scope is refused, whatever other scopes the token has, and no call was made', async () => {
    const others = ['none', ...scopes].filter((name) => name !== entry.scope)
    for (const as of others) {
      const { status, headers, body, calls } = await askInVain(entry, { as, confirm: 'local' })
      expect({ as, status, calls }).toEqual({ as, status: 403, calls: 0 })
      expect(body).toMatchObject({ title: 'Forbidden', requiredScope: entry.scope })
      expect(headers.get('www-authenticate')).toContain(`scope="${entry.scope}"`)
    }
  })
})

test('to move a label with a backup, or to go back to what nobody labelled, takes a second scope, and no call was made', async () => {
  const reset = { operation: 'reset', strategy: 'full', confirm: 'local' }
  for (const [body, as, requiredScope] of [
    [{ ...reset, to: older }, 'reset', 'restore'],
    [{ ...reset, to: older.slice(0, 10) }, 'reset', 'restore'],
    [{ ...reset, to: 'latest', dryRun: true }, 'reset', 'restore'],
    [{ ...reset, to: 'latest-rehearsed' }, 'restore', 'reset'],
    [{ operation: 'backup', label: 'baseline' }, 'backup', 'reset'],
    [{ operation: 'backup', label: 'baseline' }, 'reset', 'backup'],
  ] as const) {
    const entry = { ...(entries[0] as Entry), request: () => post(body) }
    const { status, body: refusal, calls } = await askInVain(entry, { as })
    expect({ status, calls, requiredScope: refusal.requiredScope }).toEqual({
      status: 403,
      calls: 0,
      requiredScope,
    })
  }
  const { status, body } = await api.ask('POST', '/v1/runs', {
    as: 'reset',
    body: { ...reset, to: 'golden' },
  })
  expect([status, body.title]).toEqual([422, 'UnknownBackup'])
})

describe.each(tried.filter(({ confirms }) => confirms))('$does', (entry) => {
  test('without confirm, or with another name, is refused, and no call was made', async () => {
    for (const confirm of [undefined, 'production', 'Local', 'local ']) {
      const asked = confirm === undefined ? {} : { confirm }
      const { status, body, calls } = await askInVain(entry, asked)
      expect({ confirm, status, calls }).toEqual({ confirm, status: 422, calls: 0 })
      expect(body.title).toBe('ConfirmationMismatch')
      expect(body.detail).toContain('"confirm": "local"')
    }
  })
})

describe.each(tried.filter(({ guarded }) => guarded))('$does', (entry) => {
  test('in a protected environment is refused, and no call was made', async () => {
    const { status, body, calls } = await askInVain(entry, { confirm: 'local' }, { PROTECTED: 'true' })
    expect({ status, calls, title: body.title }).toEqual({
      status: 422,
      calls: 0,
      title: 'EnvironmentProtected',
    })
  })

  test('is refused when the database says that it is protected, and when it is not claimed', async () => {
    const { admin } = api.reset.stack
    await admin.query('UPDATE taskmaster_reset.environment SET protected = true')
    const isProtected = await askInVain(entry, { confirm: 'local' })
    await admin.query("UPDATE taskmaster_reset.environment SET protected = false, name = 'other'")
    const isOther = await askInVain(entry, { confirm: 'local' })
    const { rows } = await admin.query('DELETE FROM taskmaster_reset.environment RETURNING claimed_at')
    const isUnclaimed = await askInVain(entry, { confirm: 'local' })
    await admin.query(
      `INSERT INTO taskmaster_reset.environment (name, protected, claimed_at) VALUES ('local', false, $1)`,
      [rows[0].claimed_at],
    )
    expect([isProtected, isOther, isUnclaimed].map(({ status, body }) => [status, body.title])).toEqual([
      [422, 'EnvironmentProtected'],
      [422, 'EnvironmentMismatch'],
      [422, 'EnvironmentUnclaimed'],
    ])
  })
})

test('the rows that a diff found are told to who may restore, and to nobody else', async () => {
  await api.reset.stack.sql.query(`UPDATE users SET name = 'other' WHERE id = 1`)
  const rows = { table: 'users', limit: 3 }
  const { runId, plan } = await api.follow({ operation: 'diff', backupId: older, rows }, { as: 'restore' })
  expect(plan.rows).toBe('public.users')
  const path = `/v1/runs/${runId}/rows`
  for (const as of [...scopes.filter((scope) => scope !== 'restore'), 'none']) {
    const { status, body } = await api.ask('GET', path, { as })
    expect([status, body.requiredScope]).toEqual([403, 'restore'])
    const cancelled = await api.ask('POST', `/v1/runs/${runId}/cancel`, { as })
    expect([as, cancelled.status]).toEqual([as, 403])
  }
  const { status, body } = await api.ask('GET', path, { as: 'restore' })
  expect(status).toBe(200)
  expect(body).toMatchObject({ name: 'public.users', changed: 1, limit: 3, key: ['id'], leftOut: 0 })
  expect(body.rows).toMatchObject([{ kind: 'changed', now: expect.arrayContaining(['1', 'other']) }])
})

test.runIf(isFull)(
  `a verify changes nothing live, so it may be done where every wipe is forbidden; nor does it or a delete need the cache ${inFullForm}`,
  async () => {
    const { admin } = api.reset.stack
    fronts.cache.faults = [() => ({ status: 404, body: 'no such database' })]
    await admin.query('UPDATE taskmaster_reset.environment SET protected = true')
    try {
      const verified = await withVariables({ ...fronts.variables, PROTECTED: 'true' }, () =>
        api.follow({ operation: 'verify', backupId: older, rehearse: false }, { as: 'read' }),
      )
      expect(verified.status).toBe('succeeded_with_warnings')
      expect(verified.outcome.warnings.map(({ code }: { code: string }) => code)).toEqual([
        'CacheUnavailable',
      ])
      await admin.query('UPDATE taskmaster_reset.environment SET protected = false')
      const body = { operation: 'delete', backupId: newest, confirm: 'local' }
      const deleted = await withVariables(fronts.variables, () => api.ask('POST', '/v1/runs', { body }))
      expect([deleted.status, deleted.body.title]).toEqual([422, 'BackupKept'])
    } finally {
      await admin.query('UPDATE taskmaster_reset.environment SET protected = false')
    }
  },
)

test('no way in is missing above: every route that is not a GET, and every operation of a run', () => {
  const notGet = Object.values(api.document.paths).flatMap((methods) =>
    Object.entries(methods).flatMap(([method, { operationId }]) => (method === 'get' ? [] : [operationId])),
  )
  const told = new Set(entries.map(({ operationId }) => operationId))
  // Its scope is that of the run it cancels: see runs.trust.test.ts.
  expect([...told, 'cancelRun'].sort()).toEqual(notGet.sort())
  const { discriminator } = api.document.components.schemas.RunRequest as {
    discriminator: { mapping: Record<string, string> }
  }
  const operations = Object.keys(discriminator.mapping)
  expect(new Set(entries.flatMap(({ operation }) => operation ?? []))).toEqual(new Set(operations))
})
