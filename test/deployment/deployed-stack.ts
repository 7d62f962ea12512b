import { createServer } from 'node:http'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { ACCOUNT, MACHINE_NAME, REGION } from '../../local/machine/arn.ts'
import { s3Error, startFront } from '../files/s3-front.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { startBundles } from './bundles.ts'
import { allowing, type Call, type Role, roleOf, type Statement } from './iam.ts'
import { startJsonService } from './json-front.ts'
import type { Template } from './package.ts'
import { resolve } from './resolve.ts'
import { callerOf, useOfMissing, usesOf } from './s3-calls.ts'

/** A function's key in serverless.yml, its environment with the values of this "account", and its role. */
export type Deployed = { name: string; environment: Record<string, string>; role: Role }

export function functionsOf(template: Template): Deployed[] {
  return Object.entries(template.Resources)
    .filter(([, { Type }]) => Type === 'AWS::Lambda::Function')
    .map(([id, { Properties }]) => ({
      name: id.replace(/LambdaFunction$/, '').replace(/^./, (letter) => letter.toLowerCase()),
      environment: resolve(template, Properties.Environment.Variables) as Record<string, string>,
      role: roleOf(template, Properties.Role['Fn::GetAtt'][0]),
    }))
}

type Use = Call & { by: Statement | undefined }

/**
 * The embedded stack with the packaged functions in it: each in a process of its own, with the environment variables that
 * the template gives it and what Lambda adds, and in front of S3, SSM and Step Functions somebody who refuses what the
 * template's policies do not allow.
 * @see docs/decisions.md#rights-are-proved-by-enforcing-them
 */
export async function startDeployed(
  template: Template,
  options: {
    settings: (env: NodeJS.ProcessEnv) => Record<string, string>
    beforeTask: (state: string) => Promise<void>
  },
) {
  const functions = functionsOf(template)
  const roles = new Map(functions.map(({ name, role }) => [name, role]))
  const uses: Use[] = []
  const ends: (() => Promise<void>)[] = []

  /** Notes the use of a permission. Gives false when the caller does not have it. */
  function permits(call: Call): boolean {
    const role = roles.get(call.caller)
    const by = role && allowing(role, call)
    uses.push({ ...call, by })
    return by !== undefined
  }

  async function startS3(upstream: string): Promise<string> {
    const front = await startFront(upstream)
    ends.push(front.stop)
    front.faults = [
      async (request, forward) => {
        const caller = callerOf(request)
        if (!usesOf(request).every((use) => permits({ caller, ...use }))) return s3Error(403, 'AccessDenied')
        const answer = await forward()
        const looks = request.method === 'GET' || request.method === 'HEAD'
        if (answer.status !== 404 || !looks || request.key === '') return answer
        return permits({ caller, ...useOfMissing(request) }) ? answer : s3Error(403, 'AccessDenied')
      },
    ]
    return front.url
  }

  async function startSsm(settings: Record<string, string>): Promise<string> {
    const service = await startJsonService(async ({ operation, body, headers }) => {
      const resource = `arn:aws:ssm:${REGION}:${ACCOUNT}:parameter${body.Name}`
      if (!permits({ caller: callerOf({ headers }), action: `ssm:${operation}`, resource })) return refused
      const Value = settings[body.Name ?? '']
      if (Value === undefined) return { status: 400, body: { __type: 'ParameterNotFound' } }
      return { status: 200, body: { Parameter: { Name: body.Name, Type: 'SecureString', Value } } }
    })
    ends.push(service.stop)
    return service.url
  }

  /** Invokes nothing: a function that stands for a hook did what it was called for. */
  async function startLambda(): Promise<string> {
    const server = createServer((request, response) => {
      const [, , , name = ''] = request.url?.split('/') ?? []
      const resource = decodeURIComponent(name)
      const isPermitted = permits({ caller: callerOf(request), action: 'lambda:InvokeFunction', resource })
      response.writeHead(isPermitted ? 200 : 403, { 'content-type': 'application/json' }).end('{}')
    })
    const url = `http://${LOOPBACK}:${await listen(server)}`
    ends.push(() => close(server))
    return url
  }

  /** Publishes nothing. A topic's name in the template is what CloudFormation knows it by. */
  async function startSns(): Promise<string> {
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const topic = new URLSearchParams(body).get('TopicArn')?.split(':').at(-1)
      const call = { action: 'sns:Publish', resource: `AWS::SNS::Topic:${topic}` }
      const isPermitted = permits({ caller: callerOf(request), ...call })
      const xmlns = 'xmlns="http://sns.amazonaws.com/doc/2010-03-31/"'
      response
        .writeHead(isPermitted ? 200 : 403, { 'content-type': 'text/xml' })
        .end(
          `<PublishResponse ${xmlns}><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`,
        )
    })
    const url = `http://${LOOPBACK}:${await listen(server)}`
    ends.push(() => close(server))
    return url
  }

  /** The embedded machine has another name than the deployed one. */
  async function startStates(upstream: string): Promise<string> {
    const deployed = `${resolve(template, template.Resources.StateMachine?.Properties.StateMachineName)}`
    const service = await startJsonService(async ({ operation, body, headers }) => {
      const resource = body.stateMachineArn ?? body.executionArn ?? ''
      if (!permits({ caller: callerOf({ headers }), action: `states:${operation}`, resource })) return refused
      const answer = await fetch(upstream, {
        method: 'POST',
        headers: { 'x-amz-target': String(headers['x-amz-target']) },
        body: JSON.stringify(body).replaceAll(`:${deployed}`, `:${MACHINE_NAME}`),
      })
      const text = (await answer.text()).replaceAll(`:${MACHINE_NAME}`, `:${deployed}`)
      return { status: answer.status, body: JSON.parse(text) }
    })
    ends.push(service.stop)
    return service.url
  }

  let bundles: ReturnType<typeof startBundles> | undefined
  async function startFunctions() {
    const { env } = process
    const network = {
      AWS_ENDPOINT_URL_S3: await startS3(env.AWS_ENDPOINT_URL_S3 ?? ''),
      AWS_ENDPOINT_URL_SSM: await startSsm(options.settings(env)),
      AWS_ENDPOINT_URL_SFN: await startStates(env.AWS_ENDPOINT_URL_SFN ?? ''),
      AWS_ENDPOINT_URL_LAMBDA: await startLambda(),
      AWS_ENDPOINT_URL_SNS: await startSns(),
      DATABASE_WEBSOCKET_PROXY: env.DATABASE_WEBSOCKET_PROXY ?? '',
    }
    const environments = functions.map(({ name, environment }) => {
      const ofLambda = { AWS_REGION: REGION, AWS_ACCESS_KEY_ID: name, AWS_SECRET_ACCESS_KEY: 'secret' }
      return [name, { ...environment, ...ofLambda, ...network }] as const
    })
    bundles = startBundles(Object.fromEntries(environments))
    ends.push(bundles.stop)
    return bundles.handlers
  }

  const [one] = functions
  const { FILES_BUCKET, BACKUP_BUCKET } = one?.environment ?? {}
  let stack: FreshStack | undefined
  async function stop(): Promise<void> {
    await stack?.stop()
    for (const end of ends) await end()
  }
  try {
    const { PATH } = process.env
    stack = await freshStack({
      environment: { PATH, FILES_BUCKET, BACKUP_BUCKET },
      loadFunctions: startFunctions,
      beforeTask: options.beforeTask,
    })
    return { stack, uses, stop, invoke: bundles?.handlers ?? {}, logged: () => bundles?.logged() ?? [] }
  } catch (error) {
    await stop()
    throw error
  }
}

const refused = { status: 400, body: { __type: 'AccessDeniedException', message: 'not authorized' } }
