import type { Template } from './package.ts'
import { isMade, resolve, roleNameOf } from './resolve.ts'

/** One use of a permission. `context`: condition keys of the request that have a value. */
export type Call = { caller: string; action: string; resource: string; context?: Record<string, string> }

type Condition = Record<string, Record<string, string | string[]>>
export type Statement = {
  Sid?: string
  Effect: 'Allow' | 'Deny'
  Action: string | string[]
  Resource: string | string[]
  Condition?: Condition
}

/** What a role may do by the template: its own statements, those attached to it, and those of the buckets. */
export type Role = { arn: string; statements: Statement[]; ofBuckets: Statement[] }

export function roleOf(template: Template, logicalId: string): Role {
  const role = resolve(template, template.Resources[logicalId]?.Properties) as {
    Policies: { PolicyDocument: { Statement: Statement[] } }[]
    ManagedPolicyArns?: string[]
  }
  const attached = (role.ManagedPolicyArns ?? []).map((name) =>
    documentOf(template, name.split(':').at(-1) ?? ''),
  )
  const ofBuckets = Object.entries(template.Resources)
    .filter(([id, { Type }]) => Type === 'AWS::S3::BucketPolicy' && isMade(template, id))
    .filter(([id]) => id !== 'ServerlessDeploymentBucketPolicy')
    .map(([id]) => documentOf(template, id))
  return {
    arn: `arn:aws:iam::000000000000:role/${roleNameOf(template, logicalId)}`,
    statements: [
      ...role.Policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement),
      ...attached.flat(),
    ],
    ofBuckets: ofBuckets.flat(),
  }
}

function documentOf(template: Template, logicalId: string): Statement[] {
  const { PolicyDocument } = resolve(template, template.Resources[logicalId]?.Properties) as {
    PolicyDocument: { Statement: Statement[] }
  }
  return PolicyDocument.Statement
}

/** The statement that allows the call, or undefined: nothing allows it, or something denies it. */
export function allowing({ arn, statements, ofBuckets }: Role, call: Call): Statement | undefined {
  const context = { 'aws:SecureTransport': 'true', 'aws:PrincipalArn': arn, ...call.context }
  const applying = [...statements, ...ofBuckets].filter((statement) =>
    applies(statement, { ...call, context }),
  )
  if (applying.some(({ Effect }) => Effect === 'Deny')) return undefined
  return applying.find(({ Effect }) => Effect === 'Allow')
}

function applies(statement: Statement, call: Required<Call>): boolean {
  return (
    [statement.Action].flat().some((pattern) => matches(pattern.toLowerCase(), call.action.toLowerCase())) &&
    [statement.Resource].flat().some((pattern) => matches(pattern, call.resource)) &&
    Object.entries(statement.Condition ?? {}).every(([operator, wanted]) =>
      Object.entries(wanted).every(([key, value]) => test(operator, [value].flat(), call.context[key])),
    )
  )
}

/** A key without a value fulfils only the operators that ask for that. */
function test(operator: string, all: string[], given: string | undefined): boolean {
  switch (operator) {
    case 'Null':
      return (given === undefined) === (all[0] === 'true')
    case 'Bool':
    case 'StringEquals':
      return given !== undefined && all.includes(given)
    case 'ArnLike':
      return given !== undefined && all.some((one) => matches(one, given))
    case 'ArnNotEquals':
      return given === undefined || !all.some((one) => matches(one, given))
    default:
      throw new Error(`A policy uses ${operator}, which is not known here.`)
  }
}

/** `*` is any number of any characters, `?` is one. */
function matches(pattern: string, text: string): boolean {
  const known = patterns.get(pattern)
  if (known !== undefined) return known.test(text)
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const made = new RegExp(`^${source}$`, 's')
  patterns.set(pattern, made)
  return made.test(text)
}

const patterns = new Map<string, RegExp>()
