import { expect, test } from 'vitest'
import { makeApp } from '../../lib/http/app.ts'
import { type Document, expectDocumented } from './documented.ts'

const app = makeApp({
  clients: async () => {
    throw new Error('The document must not need a store')
  },
  pageFolders: [],
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
    .filter(({ method, path }) => method !== 'ALL' && /^\/v1\//.test(path) && path !== '/v1/openapi.json')
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
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['401', '403', '500', '503']))
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      expect(description).not.toBe('')
      expect(Object.keys(content ?? {})).toEqual([
        Number(status) < 300 ? 'application/json' : 'application/problem+json',
      ])
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
    expect(Array.from(objects).length, name).toBeGreaterThan(0)
    expect(loose(schema), name).toEqual([])
  }
})

test('the tests notice an answer that it does not promise', () => {
  const body = { name: 'ci', scopes: [], environment: 'local', protected: false, version: '1.0.0' }
  const answer = { method: 'GET', path: '/v1/session', status: 200, contentType: 'application/json', body }
  const check = (change: object) => () => expectDocumented(document, { ...answer, ...change })
  expect(check({})).not.toThrow()
  expect(check({ status: 418 })).toThrow('does not document 418')
  expect(check({ contentType: 'text/html' })).toThrow('does not document')
  expect(check({ body: { ...body, secret: 1 } })).toThrow()
  expect(check({ body: { ...body, scopes: 'read' } })).toThrow()
  expect(check({ body: { ...body, version: undefined } })).toThrow()
})

/** Paths of objects that name their keys and allow others all the same. */
function loose(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const own = 'properties' in schema && !('additionalProperties' in schema) ? [path] : []
  return [...own, ...Object.entries(schema).flatMap(([key, value]) => loose(value, `${path}/${key}`))]
}
