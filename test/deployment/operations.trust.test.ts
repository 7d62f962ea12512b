import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { variables } from '../../lib/config/variables.ts'
import { errorKinds } from '../../lib/errors.ts'
import { Request } from '../../lib/run/request.ts'
import { endOfExecution } from '../support/end-of-execution.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const document = read('docs/operations.md')

describe('the runbook', () => {
  const runbook = document.slice(document.indexOf('\n## Runbook'), document.indexOf('\n### Names that'))

  test('has a section for every error of the service, and for no other', () => {
    const ofHttp = [...read('lib/http/errors.ts').matchAll(/readonly name = '(\w+)'/g)].map(
      ([, name]) => name,
    )
    const sections = [...runbook.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
    expect(ofHttp.length).toBeGreaterThan(0)
    expect(sections.sort()).toEqual([...new Set([...errorKinds.keys(), ...ofHttp])].sort())
  })

  test('says of each what happened, what is safe and what to do', () => {
    for (const section of runbook.split('\n### ').slice(1))
      expect(section).toMatch(/^\w+\n\n\S.+ \*\*Safe:\*\* \S.+ \*\*Do:\*\* \S.+\n*$/s)
  })
})

test('every warning of a plan or an outcome stands in the document', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const codes = globSync('lib/**/*.ts', { cwd: root }).flatMap((path) =>
    [
      ...read(path).matchAll(
        /(?:code: |add\(\s*|warning\(\s*|staleViews = |\[\s*(?='(?:Files|Keys|\w+NotKept)))'([A-Z][a-z]+[A-Z]\w+)'/g,
      ),
    ].map(([, code = '']) => code),
  )
  expect(codes.length).toBeGreaterThan(30)
  expect([...new Set(codes)].filter((code) => !document.includes(`\`${code}\``))).toEqual([])
})

test('the settings and parameters that the document names are those of serverless.yml', () => {
  const deployment = read('serverless.yml')
  const settings = [...document.matchAll(/^put ([a-z-]+)/gm)].map(([, name]) => name)
  const needed = [...deployment.matchAll(/ssm:\$\{self:custom\.settings\}\/([a-z-]+)/g)].map(
    ([, name]) => name,
  )
  expect(settings.sort()).toEqual(needed.sort())
  const [, table = ''] = /\| parameter \|.*?\n((?:\|.*\n)+)/.exec(document) ?? []
  const named = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) => [
    ...cell.matchAll(/`([\w-]+)`/g),
  ])
  for (const [, name] of named) expect(deployment, name).toMatch(new RegExp(`\\b${name}\\b`))
  expect(named.length).toBeGreaterThan(20)
  const ofWorkflow = [...read('.github/workflows/deploy.yml').matchAll(/vars\.(\w+)/g)].map(
    ([, name]) => name,
  )
  for (const [name] of document.matchAll(/\b[A-Z]+_[A-Z_]+\b/g))
    expect([...Object.keys(variables), ...ofWorkflow, 'CAPABILITY_IAM', 'TASKMASTER_RESET_TOKEN']).toContain(
      name,
    )
})

describe('the requests to paste', () => {
  const requests = [...document.matchAll(/```json\n(.*?)```/gs)].map(([, text = '']) => JSON.parse(text))
  const pasted = '2026-11-22T19-05-33Z-3f9a2c'
  let stack: FreshStack
  let client: SFNClient

  beforeAll(async () => {
    stack = await freshStack({ environment: { PATH: process.env.PATH, ENVIRONMENT: 'staging' } })
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
    client = new SFNClient({
      endpoint: stack.env.AWS_ENDPOINT_URL_SFN ?? '',
      region: 'us-east-1',
      credentials,
    })
    await stack.sql.query(`
      CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1), (2);
      CREATE TABLE events (of_user int REFERENCES users); INSERT INTO events VALUES (1);
      CREATE TABLE events_2024 (id int); INSERT INTO events_2024 VALUES (1)`)
    const Key = 'generated_stories/one.txt'
    await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.FILES_BUCKET, Key, Body: 'one' }))
    await stack.redis.set('page:1', 'first')
  })
  afterAll(async () => {
    client?.destroy()
    await stack?.stop()
  })

  async function run(request: object) {
    const start = { stateMachineArn: stack.env.STATE_MACHINE_ARN, input: JSON.stringify(request) }
    const { executionArn } = await client.send(new StartExecutionCommand(start))
    return endOfExecution(client, stack.machine, executionArn)
  }

  test.runIf(isFull)(
    `all succeed, one after the other, and there is one for every operation ${inFullForm}`,
    async () => {
      expect(new Set(requests.map(({ operation }) => operation))).toEqual(
        new Set(Request.options.map(({ shape }) => shape.operation.value)),
      )
      const backups: Record<string, string> = {}
      for (const request of requests) {
        // The backup that the document's reset took, and to be deleted the one before it.
        const backupId = request.operation === 'delete' ? backups.backup : backups.reset
        if (request.backupId !== undefined) expect(request.backupId).toBe(pasted)
        const isDropped = request.without !== undefined
        if (isDropped) await stack.sql.query('ALTER TABLE events_2024 RENAME TO dropped')
        const { status, error, cause, output } = await run(
          request.backupId ? { ...request, backupId } : request,
        )
        expect(status, `${JSON.stringify(request)}: ${error}: ${cause}`).toBe('SUCCEEDED')
        const outcome = JSON.parse(output ?? '{}')
        if (outcome.backupId !== null) backups[request.operation] ??= outcome.backupId
        if (isDropped) await stack.sql.query('ALTER TABLE dropped RENAME TO events_2024')
      }
    },
  )

  test.each([{}, { operation: 'rest' }, { ...requests[2], startegy: 'full' }])(
    'and %j fails in the first state with a right one',
    async (request) => {
      const { status, error, cause } = await run(request)
      expect([status, error]).toEqual(['FAILED', 'InvalidRequest'])
      expect(cause).toContain('A right request: {"operation":"reset"')
    },
  )
})
