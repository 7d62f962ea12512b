import { expect } from 'vitest'
import { z } from 'zod'

/** An OpenAPI document, as far as the tests look into it. */
export type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}
export type Operation = {
  operationId: string
  parameters?: { name: string; in: string; required: boolean }[]
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}

export type Answer = {
  method: string
  path: string
  status: number
  contentType: string
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  body: any
}

/** The operation that a method and a path belong to. */
export function operationOf(document: Document, method: string, path: string): Operation | undefined {
  const [template] = Object.keys(document.paths).filter((one) =>
    new RegExp(`^${one.replace(/\{part\}/, '.+').replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  )
  return template === undefined ? undefined : document.paths[template]?.[method.toLowerCase()]
}

/** Fails unless the document promises this very answer: its status, media type, and every key of its body. */
export function expectDocumented(
  document: Document,
  { method, path, status, contentType, body }: Answer,
): void {
  const operation = operationOf(document, method, path)
  const described = operation?.responses[status]?.content?.[contentType]
  expect(described, `${method} ${path} does not document ${status} ${contentType}`).toBeDefined()
  const checked = schemaOf(document, described?.schema ?? {}).safeParse(body)
  expect(checked.error?.issues ?? [], `${method} ${path} ${status}`).toEqual([])
}

/** The schema with what it refers to, as zod reads JSON Schema. */
function schemaOf({ components }: Document, schema: object): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: components.schemas })
  return z.fromJSONSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')))
}
