import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec'
import type { Template } from './package.ts'

const spec = loadAwsServiceSpecSync()
type Resource = ReturnType<typeof specOf>
type PropertyType = Resource['properties'][string]['type']
type Properties = Resource['properties']

/**
 * What CloudFormation's own description of the resource types says of a template; offline. Gives a sentence per problem.
 * @see docs/decisions.md#templates-are-checked-against-cloudformations-own-types
 */
export function problemsOf(template: Checked): string[] {
  return Object.entries(template.Resources).flatMap(([id, resource]) => {
    const { Type, Properties = {}, DependsOn = [], ...rest } = resource
    const known = spec.lookup('resource', 'cloudFormationType', 'equals', Type)
    if (known.length === 0) return [`${id}: there is no ${Type}`]
    const { properties } = known.only()
    return [
      ...[...checkProperties(Properties, properties, id)],
      ...[DependsOn]
        .flat()
        .filter((other) => template.Resources[other] === undefined)
        .map((other) => `${id} depends on ${other}, which is not there`),
      ...Object.entries(rest)
        .filter(([key, value]) => key !== 'Condition' || !(String(value) in (template.Conditions ?? {})))
        .filter(([key, value]) => !attributes[key]?.includes(String(value)))
        .map(([key, value]) => `${id} has ${key}: ${JSON.stringify(value)}`),
      ...[...references(Properties)].flatMap((found) => checkReference(template, id, found)),
    ]
  })
}

type Checked = Pick<Template, 'Resources'> & {
  Parameters?: Record<string, unknown>
  Conditions?: Record<string, unknown>
}

/** Whether AWS describes a metric of this name. */
export function isMetric(namespace: string, name: string): boolean {
  return spec.all('metric').some((metric) => metric.namespace === namespace && metric.name === name)
}

/** Attributes of a resource beside its type, its properties and what it depends on, and what they may say. */
const attributes: Record<string, string[]> = {
  DeletionPolicy: ['Delete', 'Retain', 'RetainExceptOnCreate', 'Snapshot'],
  UpdateReplacePolicy: ['Delete', 'Retain', 'Snapshot'],
}

function specOf(type: string) {
  return spec.lookup('resource', 'cloudFormationType', 'equals', type).only()
}

function* checkProperties(given: unknown, properties: Properties, path: string): Generator<string> {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    yield `${path} is no object`
    return
  }
  for (const name of Object.keys(given))
    if (properties[name] === undefined) yield `${path} has no property ${name}`
  for (const [name, { type, required }] of Object.entries(properties)) {
    const value = (given as Record<string, unknown>)[name]
    if (value !== undefined) yield* checkValue(value, type, `${path}.${name}`)
    else if (required) yield `${path} lacks ${name}`
  }
}

function* checkValue(value: unknown, type: PropertyType, path: string): Generator<string> {
  if (functionOf(value) !== undefined) return // what comes of it only CloudFormation knows
  switch (type.type) {
    case 'array':
      if (!Array.isArray(value)) yield `${path} is no list`
      else
        for (const [index, item] of value.entries())
          yield* checkValue(item, type.element, `${path}[${index}]`)
      return
    case 'map':
      if (value === null || typeof value !== 'object') yield `${path} is no map`
      else
        for (const [key, item] of Object.entries(value))
          yield* checkValue(item, type.element, `${path}.${key}`)
      return
    case 'ref':
      yield* checkProperties(value, spec.get('typeDefinition', type.reference.$ref).properties, path)
      return
    case 'union': {
      const problems = type.types.map((one) => [...checkValue(value, one, path)])
      if (problems.every((found) => found.length > 0)) yield problems[0]?.[0] ?? path
      return
    }
    case 'tag':
      if (!isObjectWith(value, ['Key', 'Value'])) yield `${path} is no tag`
      return
    case 'integer':
    case 'number':
      if (!/^-?\d+(\.\d+)?$/.test(String(value))) yield `${path} is no number: ${JSON.stringify(value)}`
      return
    case 'boolean':
      if (!/^(true|false)$/.test(String(value)))
        yield `${path} is neither true nor false: ${JSON.stringify(value)}`
      return
    case 'string':
    case 'date-time':
      if (typeof value === 'object') yield `${path} is no text: ${JSON.stringify(value)}`
      return
    case 'json':
      if (typeof value !== 'object' && typeof value !== 'string') yield `${path} is no JSON`
      return
    default:
      throw new Error(`The description of ${path} uses ${JSON.stringify(type)}, which is not known here`)
  }
}

function isObjectWith(value: unknown, keys: string[]): boolean {
  return value !== null && typeof value === 'object' && keys.every((key) => key in value)
}

/** The intrinsic function that a value is, with its argument. */
function functionOf(value: unknown): [name: string, argument: unknown] | undefined {
  if (value === null || typeof value !== 'object') return undefined
  const [[name, argument] = ['', undefined], ...more] = Object.entries(value)
  return more.length === 0 && (name === 'Ref' || name.startsWith('Fn::')) ? [name, argument] : undefined
}

type Reference = { to: string; attribute?: string | undefined }

function* references(value: unknown): Generator<Reference> {
  const call = functionOf(value)
  if (call?.[0] === 'Ref') yield { to: String(call[1]) }
  else if (call?.[0] === 'Fn::GetAtt') {
    const [to = '', attribute] = [call[1]].flat().map(String)
    yield { to, attribute }
  } else if (call?.[0] === 'Fn::Sub') {
    for (const [, to = '', attribute] of String(call[1]).matchAll(/\$\{([A-Za-z0-9:]+)(?:\.([\w.]+))?\}/g))
      yield { to, attribute }
  } else if (value !== null && typeof value === 'object')
    for (const part of Object.values(value)) yield* references(part)
}

function checkReference(
  { Resources, Parameters = {} }: Checked,
  id: string,
  { to, attribute }: Reference,
): string[] {
  if (to.startsWith('AWS::') || to in Parameters) return []
  const resource = Resources[to]
  if (resource === undefined) return [`${id} names ${to}, which is not there`]
  if (attribute === undefined || attribute in specOf(resource.Type).attributes) return []
  return [`${id} asks for ${attribute} of ${to}, which ${resource.Type} does not have`]
}
