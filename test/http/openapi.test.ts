import { expect, test } from 'vitest'
import { RunRequest } from '../../lib/http/answers/run-request.ts'
import { makeApp } from '../../lib/http/app.ts'
import { requests } from '../../lib/http/document/examples.ts'
import { type Document, misfit, undocumented } from './documented.ts'

const app = makeApp({
  clients: async () => {
    throw new Error('The document must not need a store')
  },
  pageFolders: [],
  documents: [],
})
const document = (await (await app.request('/v1/openapi.json')).json()) as Document & { security: unknown }
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

test('the document is OpenAPI 3.1, and every route wants a token', () => {
  expect(document.openapi).toBe('3.1.0')
  expect(document.security).toEqual([{ token: [] }])
})

test('it has every route of the API, and no other', () => {
  const documented = operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`)
  const routed = app.routes
    .filter(
      ({ method, path }) => method !== 'ALL' && !['/', '/assets/:file', '/v1/openapi.json'].includes(path),
    )
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(\{.*\})?/g, '{$1}')}`)
  expect(documented.sort()).toEqual([...new Set(routed)].sort())
})

test('every operation has a name of its own, a sentence, its path parameters, and what it refuses', () => {
  const names = operations.map(({ operation }) => operation.operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const { path, operation } of operations) {
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    const named = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
    expect(inPath.map(({ name, required }) => [name, required])).toEqual(named.map((name) => [name, true]))
    const always = operation.security === undefined ? ['401', '429', '500', '503'] : ['429', '500']
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(always))
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      expect(description).not.toBe('')
      const success = path.startsWith('/v1/') ? 'application/json' : 'text/html'
      const type = Number(status) < 300 ? success : 'application/problem+json'
      expect(Object.keys(content ?? {})).toEqual(status === '304' ? [] : [type])
    }
  }
})

test('every reference in it leads somewhere', () => {
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)
  const named = new Set(Array.from(references, ([, name]) => name))
  expect(named).toContain('Problem')
  for (const name of named) expect(Object.keys(document.components.schemas)).toContain(name)
})

test('no object in it takes or gives a key that is not named', () => {
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    const objects = JSON.stringify(schema).matchAll(/"type":(?:"object"|\["object","null"\]),"(\w+)"/g)
    if (!('oneOf' in schema)) expect(Array.from(objects).length, name).toBeGreaterThan(0)
    expect(loose(schema), name).toEqual([])
  }
})

test('the tests notice an answer that it does not promise', () => {
  const body = {
    name: 'ci',
    scopes: [],
    expiresAt: null,
    environment: 'local',
    protected: false,
    where: { database: 'd', cache: 'c', files: 's3://f/', backups: 's3://b/' },
    version: '1.0.0',
  }
  const headers = (change: Record<string, string> = {}) =>
    new Headers({
      'content-type': 'application/json',
      'x-request-id': 'x',
      'content-security-policy': 'x',
      'x-content-type-options': 'nosniff',
      'strict-transport-security': 'x',
      'cache-control': 'no-store',
      ...change,
    })
  const answer = { method: 'GET', path: '/v1/session', status: 200, headers: headers(), body }
  const found = (change: object) => undocumented(document, { ...answer, ...change }).join()
  expect(found({})).toBe('')
  expect(found({ method: 'HEAD', body: '' })).toBe('')
  expect(found({ method: 'OPTIONS', status: 204, body: '', headers: headers({ allow: 'GET' }) })).toBe('')
  for (const [change, what] of [
    [{ status: 418 }, 'its status is not documented'],
    [{ headers: headers({ 'content-type': 'text/html' }) }, 'its media type text/html is not documented'],
    [{ headers: headers({ etag: '"x"' }) }, 'its header ETag is not documented'],
    [{ headers: new Headers({ 'content-type': 'application/json' }) }, 'it has no header cache-control'],
    [{ status: 401, body: {} }, 'it has no header www-authenticate'],
    [{ path: '/v1/runs' }, 'it has no header etag'],
    [{ path: '/v1/nothing' }, 'the document does not know it'],
    [{ method: 'DELETE' }, 'it is no 405'],
    [{ method: 'OPTIONS' }, 'it does not say what is allowed'],
    [{ method: 'HEAD' }, 'it has a body'],
    [{ body: { ...body, secret: 1 } }, 'secret'],
    [{ body: { ...body, scopes: 'read' } }, 'scopes'],
    [{ body: { ...body, version: undefined } }, 'version'],
  ] as const)
    expect(found(change)).toContain(what)
})

test('every example in it is what its schema says, and every operation has one for each body', () => {
  const wrong: string[] = []
  for (const { path, method, operation } of operations) {
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      for (const { schema, example } of Object.values(content)) {
        if (example === undefined) wrong.push(`${method} ${path} ${status} has no example`)
        else
          wrong.push(
            ...misfit(document, schema, example).map((what) => `${method} ${path} ${status}: ${what}`),
          )
      }
    }
  }
  expect(wrong).toEqual([])
  for (const { value } of Object.values(requests)) RunRequest.parse(value)
})

/** Paths of objects that name their keys and allow others all the same. */
function loose(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const own = 'properties' in schema && !('additionalProperties' in schema) ? [path] : []
  return [...own, ...Object.entries(schema).flatMap(([key, value]) => loose(value, `${path}/${key}`))]
}
