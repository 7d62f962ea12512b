import { ACCOUNT, REGION } from '../../local/machine/arn.ts'
import type { Template } from './package.ts'

const pseudo: Record<string, unknown> = {
  'AWS::AccountId': ACCOUNT,
  'AWS::Region': REGION,
  'AWS::Partition': 'aws',
  'AWS::NoValue': undefined,
}

/** What CloudFormation makes of a value: intrinsic functions carried out; a resource is `<type>:<logical id>`. */
export function resolve(template: Template, value: unknown): unknown {
  if (Array.isArray(value))
    return value.map((item) => resolve(template, item)).filter((item) => item !== undefined)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value)
  const [name = '', argument] = entries[0] ?? []
  if (entries.length === 1 && (name === 'Ref' || name.startsWith('Fn::')))
    return intrinsic(template, name, argument)
  const resolved = entries.map(([key, item]) => [key, resolve(template, item)] as const)
  return Object.fromEntries(resolved.filter(([, item]) => item !== undefined))
}

/** Whether the resource is made at all: conditions are decided when the stage is packaged. */
export function isMade(template: Template, logicalId: string): boolean {
  return template.Resources[logicalId] !== undefined
}

function intrinsic(template: Template, name: string, argument: unknown): unknown {
  switch (name) {
    case 'Ref':
      return reference(template, String(argument))
    case 'Fn::GetAtt':
      return attribute(template, argument as [string, string])
    case 'Fn::Sub':
      return String(argument).replace(/\$\{([A-Za-z:]+)(?:\.(\w+))?\}/g, (_, id: string, name?: string) =>
        String(name === undefined ? inText(template, id) : attribute(template, [id, name])),
      )
    case 'Fn::Split': {
      const [separator, text] = argument as [string, string]
      return text.split(separator)
    }
    default:
      throw new Error(`The template uses ${name}, which is not known here.`)
  }
}

/** An API's id becomes part of its address, which has to be one. */
function inText(template: Template, id: string): unknown {
  return template.Resources[id]?.Type === 'AWS::ApiGatewayV2::Api' ? 'a1b2c3d4e5' : reference(template, id)
}

function reference(template: Template, id: string): unknown {
  if (id in pseudo) return pseudo[id]
  const resource = template.Resources[id]
  if (resource === undefined) throw new Error(`The template names ${id}, which it does not have.`)
  if (resource.Type === 'AWS::StepFunctions::StateMachine') return attribute(template, [id, 'Arn'])
  if (resource.Type === 'AWS::Lambda::Version')
    return `${attribute(template, [resource.Properties.FunctionName.Ref, 'Arn'])}:1`
  if (resource.Type === 'AWS::S3::Bucket') return resolve(template, resource.Properties.BucketName)
  return `${resource.Type}:${id}`
}

function attribute(template: Template, [id, name]: [string, string]): string {
  const resource = template.Resources[id]
  if (resource === undefined) throw new Error(`The template names ${id}, which it does not have.`)
  const { Type, Properties } = resource
  if (name !== 'Arn') return `${Type}:${id}.${name}`
  if (Type === 'AWS::Lambda::Function')
    return `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${Properties.FunctionName}`
  if (Type === 'AWS::StepFunctions::StateMachine')
    return `arn:aws:states:${REGION}:${ACCOUNT}:stateMachine:${Properties.StateMachineName}`
  if (Type === 'AWS::IAM::Role') return `arn:aws:iam::${ACCOUNT}:role/${roleNameOf(template, id)}`
  return `${Type}:${id}`
}

/** The name that the template gives, or what CloudFormation makes one of. */
export function roleNameOf(template: Template, id: string): string {
  return String(resolve(template, template.Resources[id]?.Properties.RoleName) ?? id)
}
