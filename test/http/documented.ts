import * as z from 'zod'

/** An OpenAPI document, as far as the tests look into it. */
export type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; headers: Record<string, Header> }
}
export type Operation = {
  operationId: string
  security?: object[]
  parameters?: { name: string; in: string; required: boolean }[]
  responses: Record<
    string,
    {
      description: string
      headers?: Record<string, Header | { $ref: string }>
      content?: Record<string, { schema: object; example?: unknown }>
    }
  >
}
type Header = { required: boolean; schema: { pattern?: string } }

export type Answer = {
  method: string
  path: string
  status: number
  headers: Headers
  /** Parsed, when it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  body: any
}

/** The operation that a method and a path belong to. */
export function operationOf(document: Document, method: string, path: string): Operation | undefined {
  return methodsOf(document, path)?.[(method === 'HEAD' ? 'GET' : method).toLowerCase()]
}

function methodsOf({ paths }: Document, path: string): Record<string, Operation> | undefined {
  const [template] = Object.keys(paths).filter((one) =>
    new RegExp(`^${one.replace(/\{part\}/, '.+').replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  )
  return template === undefined ? undefined : paths[template]
}

/**
 * What the document does not promise of an answer, a sentence each: its status, its headers, its media type, and every key
 * of its body. What it does not describe (the page, other methods, addresses that there are not) has rules of its own.
 */
export function undocumented(document: Document, answer: Answer): string[] {
  const { method, path, status } = answer
  const operation = operationOf(document, method, path)
  const found = [...always(answer)]
  const promised = Object.keys(operation?.responses[status]?.headers ?? {})
  if (answer.headers.has('access-control-allow-origin') && !promised.includes('Access-Control-Allow-Origin'))
    found.push('it lets pages of other sites in')
  if (operation !== undefined) found.push(...ofOperation(document, operation, answer))
  else if (methodsOf(document, path) !== undefined) found.push(...ofOtherMethod(document, answer))
  else if (path.startsWith('/v1/') && path !== '/v1/openapi.json' && status < 400)
    found.push('there is such an address, and the document does not know it')
  else if (status >= 400 && typeOf(answer) !== 'text/plain') found.push(...ofProblem(document, answer))
  return found.map((what) => `${method} ${path} ${status}: ${what}`)
}

function* always({ headers, status }: Answer): Generator<string> {
  for (const name of [
    'x-request-id',
    'content-security-policy',
    'x-content-type-options',
    'strict-transport-security',
    'cache-control',
  ]) {
    if (!headers.has(name)) yield `it has no header ${name}`
  }
  if (status === 429 && !headers.has('retry-after')) yield 'it does not say when to try again'
}

function* ofOperation(document: Document, operation: Operation, answer: Answer): Generator<string> {
  const { method, status, headers, body } = answer
  const described = operation.responses[status]
  if (described === undefined) {
    yield 'its status is not documented'
    return
  }
  const promised = Object.entries(described.headers ?? {}).map(
    ([name, header]) => [name.toLowerCase(), resolve(document, header)] as const,
  )
  for (const [name, { required, schema }] of promised) {
    const value = headers.get(name)
    if (value === null && required) yield `it has no header ${name}`
    if (value !== null && !new RegExp(schema.pattern ?? '').test(value)) yield `its ${name} is ${value}`
  }
  for (const name of [...Object.keys(document.components.headers), 'Allow', 'Set-Cookie']) {
    if (headers.has(name) && !promised.some(([one]) => one === name.toLowerCase()))
      yield `its header ${name} is not documented`
  }
  const type = typeOf(answer)
  if (described.content === undefined) {
    if (body !== '' || type !== '') yield 'it has a body'
    return
  }
  const content = described.content[type]
  if (content === undefined) yield `its media type ${type} is not documented`
  else if (method === 'HEAD') {
    if (body !== '') yield 'it has a body'
  } else yield* misfit(document, content.schema, body)
}

function* ofOtherMethod(document: Document, answer: Answer): Generator<string> {
  const { method, status, headers, body } = answer
  if (status === 400) return yield* ofProblem(document, answer) // it is no request at all
  if (!headers.has('allow')) yield 'it does not say what is allowed'
  if (method === 'OPTIONS') {
    if (status !== 204 || body !== '') yield 'it is no 204 without a body'
    return
  }
  if (status !== 405) yield 'it is no 405'
  yield* ofProblem(document, answer)
}

function* ofProblem(document: Document, answer: Answer): Generator<string> {
  if (typeOf(answer) !== 'application/problem+json') yield 'it is no problem document'
  else if (answer.method !== 'HEAD')
    yield* misfit(document, { $ref: '#/components/schemas/Problem' }, answer.body)
}

function typeOf({ headers }: Answer): string {
  return headers.get('content-type')?.split(';')[0] ?? ''
}

function resolve({ components }: Document, header: Header | { $ref: string }): Header {
  if (!('$ref' in header)) return header
  const found = components.headers[header.$ref.replace('#/components/headers/', '')]
  if (found === undefined) throw new Error(`${header.$ref} leads nowhere`)
  return found
}

/** What in a body does not fit its schema. */
export function misfit(document: Document, schema: object, body: unknown): string[] {
  const { error } = schemaOf(document, schema).safeParse(body)
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`)
}

/** The schema with what it refers to, as zod reads JSON Schema. */
function schemaOf({ components }: Document, schema: object): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: components.schemas })
  return z.fromJSONSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')))
}
