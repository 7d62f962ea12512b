import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { variables } from '../../lib/config/variables.ts'
import { makeApp } from '../../lib/http/app.ts'
import { isDestructive, parseRequest, type Request } from '../../lib/run/request.ts'
import { type HttpHandler, startHttpFront } from '../../local/http-front.ts'
import { useRecorder } from '../http/recorder.ts'
import { endOfExecution } from '../support/end-of-execution.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { isMetric, problemsOf } from './cloudformation.ts'
import { type Deployed, functionsOf, startDeployed } from './deployed-stack.ts'
import { allowing, type Call, type Role, roleOf } from './iam.ts'
import { actionsByType, comesWithOthers } from './needed.ts'
import { bundleOf, packageStage, type Template } from './package.ts'
import { permittedFiles, permittedInBackups, permittedOfRuns } from './permitted.ts'
import { isMade, resolve } from './resolve.ts'
import { unusedForAReason } from './unused.ts'

const definition = readFileSync(new URL('../../state-machine.asl.json', import.meta.url), 'utf8')
const files = 'taskmaster-local-files-000000000000-us-east-1'
const backups = 'taskmaster-local-backups-000000000000-us-east-1'

const keys = {
  files: 'arn:aws:kms:us-east-1:000000000000:key/f',
  backups: 'arn:aws:kms:us-east-1:000000000000:key/b',
}
const role = 'arn:aws:iam::123456789012:role/taskmaster-reset-deployment'

/** Two in place of the one that has parameters of its own. */
const schedules = [
  {
    name: 'nightly',
    operation: 'reset',
    strategy: 'files-only',
    expression: 'rate(1 day)',
    timeZone: 'Europe/Berlin',
  },
  { name: 'every-hour', operation: 'backup', expression: 'cron(7 * * * ? *)', state: 'DISABLED' },
]

let template: Template
/** Another stage, with the schedule on. */
let prod: Template
/** One with a long name and everything that is off by default; what an earlier deployment left is there. */
let odd: Template
/** Those that are packaged: in the short form the first one alone. */
let stages: Record<string, Template>
let functions: Deployed[]
const propertiesOf = (id: string, of = template) =>
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  resolve(of, of.Resources[id]?.Properties) as any
const idOf = (name: string) => name.replace(/^./, (letter) => letter.toUpperCase())

/** A line of the log from which CloudWatch makes metrics. */
type Embedded = {
  [name: string]: unknown
  _aws: { CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[] }
}

/** Functions that stand for hooks in the stage local. */
const hookFunctions = ['on', 'off'].map((name) => `arn:aws:lambda:us-east-1:000000000000:function:${name}`)

/** Parameters of the stage prod that are variables of the same name, each with a value that no other has. */
const given = Object.fromEntries(
  [
    ...[
      'max-rows',
      'max-objects',
      'max-keys',
      'export-batch-bytes',
      'late-max-bytes',
      'rehearse-max-bytes',
      'rehearse-within-days',
    ],
    ...['lock-timeout-ms', 'lock-budget-ms', 'retention-last', 'retention-daily', 'retention-weekly'],
    ...['database-schemas', 'exclude-tables', 'preserve-tables', 'preserve-files', 'preserve-keys'],
    ...['cache-prefix'],
  ].map((name, index) => [name, `${1001 + index}`]),
)

beforeAll(async () => {
  template = await packageStage('local', {
    ...{ 'backup-kms-key-arn': 'aws/s3', 'hook-functions': hookFunctions.join(',') },
    hooks: 'ssm:/taskmaster-reset/local/hooks',
    notices: 'ssm:/taskmaster-reset/local/notices',
  }) // one after the other: each works in the same folder at first
  functions = functionsOf(template)
  stages = { local: template }
  if (!isFull) return
  prod = await packageStage('prod', {
    ...{ 'schedule-state': 'ENABLED', 'files-kms-key-arn': 'made' },
    ...{ 'object-lock-days': '14', 'noncurrent-days': '45' },
    ...given,
  })
  odd = await packageStage('a-longer-name-16', {
    ...{ environment: 'odd', 'adopt-existing': 'true', schedules: JSON.stringify(schedules) },
    ...{ 'files-kms-key-arn': keys.files, 'backup-kms-key-arn': keys.backups },
    ...{ 'alarm-email': 'me@example.com', dashboard: 'false', 'deployment-role': role },
    ...{ protected: 'true', 'log-level': 'DEBUG', 'preserve-rows': '{"users":"admin"}' },
    ...{ 'files-prefix': 'stories/', 'backup-prefix': 'kept/', 'alarm-after-hours': '50' },
  })
  stages = { local: template, prod, odd }
})

describe('the template', () => {
  test('gives every function of the state machine its ARN, and may invoke those and no other', () => {
    const { DefinitionSubstitutions } = propertiesOf('StateMachine')
    const named = new Set([...definition.matchAll(/\$\{([A-Za-z]+)\}/g)].map(([, name]) => name))
    expect(Object.keys(DefinitionSubstitutions).sort()).toEqual([...named].sort())
    const functionArns = Object.entries(DefinitionSubstitutions).map(([name, arn]) => {
      const { FunctionName } = propertiesOf(name.replace('FunctionArn', 'LambdaFunction'))
      const functionArn = `arn:aws:lambda:us-east-1:000000000000:function:${FunctionName}`
      expect(arn).toBe(`${functionArn}:1`)
      return functionArn
    })
    const [{ PolicyDocument }] = propertiesOf('StateMachineRole').Policies
    const wanted = functionArns.flatMap((arn) => [arn, `${arn}:*`])
    expect(PolicyDocument.Statement[0].Resource.sort()).toEqual(wanted.sort())
    expect(JSON.parse(propertiesOf('StateMachine').DefinitionString)).toEqual(JSON.parse(definition))
  })

  test.runIf(isFull)(
    'publishes every function anew for another revision of the settings, so that none knows the old ones (full form)',
    async () => {
      const versionsOf = ({ Resources }: Template) =>
        Object.keys(Resources).filter((id) => Resources[id]?.Type === 'AWS::Lambda::Version')
      const again = await packageStage('local', { 'settings-revision': '2' })
      expect(versionsOf(again)).toHaveLength(versionsOf(template).length)
      expect(versionsOf(again).filter((id) => id in template.Resources)).toEqual([])
      for (const { Type, Properties } of Object.values(again.Resources)) {
        if (Type === 'AWS::Lambda::Function') expect(Properties.Description).toBe('Settings, revision 2')
      }
    },
  )

  test('has a bundle below 1 MiB, a role of its own and a log group that expires for every function', () => {
    const roles = new Set(functions.map(({ role }) => role.arn))
    expect(roles.size).toBe(functions.length)
    for (const { name } of functions) {
      const { Handler, FunctionName, Runtime } = propertiesOf(`${idOf(name)}LambdaFunction`)
      expect(Handler).toBe(`dist/${name}/index.handler`)
      expect(Runtime).toBe(`nodejs${process.versions.node.split('.')[0]}.x`)
      expect(statSync(bundleOf(name)).size, name).toBeLessThan(2 ** 20)
      const { LogGroupName, RetentionInDays } = propertiesOf(`${idOf(name)}LogGroup`)
      expect(LogGroupName).toBe(`/aws/lambda/${FunctionName}`)
      expect(RetentionInDays).toBeGreaterThan(0)
    }
  })

  // A version that is left by a deployment that was rolled back is the newest one: Lambda publishes no other of the same code
  // and variables, so that each repeat of the deployment would fail.
  test('lets a run keep its code: the machine calls versions that stay when the next ones are published, but not of a deployment that failed', () => {
    for (const packaged of Object.values(stages)) {
      const called = Object.values(packaged.Resources.StateMachine?.Properties.DefinitionSubstitutions)
      expect(called).toHaveLength(functions.length - 3) // not the API, and not what is told of executions
      for (const { Ref } of called as { Ref: string }[]) {
        const { Type, DeletionPolicy, Properties } = packaged.Resources[Ref] ?? {}
        expect([Type, DeletionPolicy], Ref).toEqual(['AWS::Lambda::Version', 'RetainExceptOnCreate'])
        expect(Properties?.CodeSha256, Ref).toMatch(/^[\w+/]{43}=$/)
      }
    }
  })

  test('leaves it to Lambda to say that the time is over: a state waits longer than the function that it calls may run', () => {
    const waits = [...definition.matchAll(/"\$\{([A-Za-z]+)FunctionArn\}",\s*"TimeoutSeconds": (\d+)/g)]
    expect(waits).toHaveLength(definition.match(/FunctionArn\}/g)?.length ?? 0)
    for (const [, name, seconds] of waits)
      expect(propertiesOf(`${name}LambdaFunction`).Timeout, name).toBe(Number(seconds) - 60)
  })

  test('sets every variable that the functions read, but those of other places than AWS', () => {
    const elsewhere = ['DATABASE_WEBSOCKET_PROXY', 'AWS_ENDPOINT_URL_S3']
    const set = functions.flatMap(({ environment }) => Object.keys(environment))
    const unset = Object.keys(variables).filter((name) => !set.includes(name))
    expect(unset.sort()).toEqual(elsewhere.sort())
    const unknown = [...new Set(set)].filter((name) => !(name in variables))
    expect(unknown).toEqual(['NODE_OPTIONS'])
    for (const { environment } of functions) {
      for (const secret of ['DATABASE_URL', 'UPSTASH_REDIS_REST_TOKEN', 'SIGNING_KEYS'])
        expect(environment[secret]).toMatch(/^ssm:\//)
    }
  })

  test.runIf(isFull)(
    `gives each variable the parameter that is called like it, in every function, and each secret its own ${inFullForm}`,
    () => {
      for (const [id, { Type }] of Object.entries(prod.Resources)) {
        if (Type !== 'AWS::Lambda::Function') continue
        const { Variables } = propertiesOf(id, prod).Environment
        for (const [name, value] of Object.entries(given))
          expect(Variables[name.toUpperCase().replaceAll('-', '_')], `${id} ${name}`).toBe(value)
        expect(Variables).toMatchObject({
          DATABASE_URL: expect.stringMatching(/\/database-url$/),
          UPSTASH_REDIS_REST_URL: expect.stringMatching(/\/cache-url$/),
          UPSTASH_REDIS_REST_TOKEN: expect.stringMatching(/\/cache-token$/),
          SIGNING_KEYS: expect.stringMatching(/\/signing-keys$/),
        })
      }
    },
  )

  test('has a schedule that is off, and whose request is a right one with a key of its own', () => {
    const { State, Target, FlexibleTimeWindow } = propertiesOf('Schedule')
    expect([State, FlexibleTimeWindow.Mode]).toEqual(['DISABLED', 'OFF'])
    expect(Target.Arn).toMatch(/:stateMachine:taskmaster-reset-local$/)
    expect(parseRequest(JSON.parse(Target.Input))).toMatchObject({
      operation: 'reset',
      strategy: 'full',
      confirm: 'local',
      requestedBy: 'schedule',
      scheduledTime: '<aws.scheduler.scheduled-time>',
    })
  })

  test.runIf(isFull)(
    `has in the stage prod a schedule that takes a backup, because a protected environment refuses a reset ${inFullForm}`,
    () => {
      const { State, Target } = propertiesOf('Schedule', prod)
      const request = parseRequest(JSON.parse(Target.Input))
      expect(State).toBe('ENABLED')
      expect(request).toMatchObject({ operation: 'backup', strategy: 'full', confirm: 'prod' })
      expect(isDestructive(request)).toBe(false)
      const { ENVIRONMENT, PROTECTED } = propertiesOf('CountLambdaFunction', prod).Environment.Variables
      expect([ENVIRONMENT, PROTECTED]).toEqual(['prod', '']) // not set: by the name's beginning
    },
  )

  test.runIf(isFull)(
    `has nothing of one stage in another: names, buckets and secrets are its own ${inFullForm}`,
    () => {
      const named = (of: Template, stage: string) =>
        new Set(
          JSON.stringify(of).match(new RegExp(`(taskmaster(-reset)?|/taskmaster-reset)[-/]${stage}\\b`, 'g')),
        )
      expect(named(template, 'local').size).toBeGreaterThan(2)
      expect([...named(template, 'prod'), ...named(prod, 'local')]).toEqual([])
      for (const [stage, of] of Object.entries({ local: template, prod })) {
        const { Variables } = propertiesOf('ApiLambdaFunction', of).Environment
        for (const name of [
          'DATABASE_URL',
          'UPSTASH_REDIS_REST_URL',
          'UPSTASH_REDIS_REST_TOKEN',
          'API_TOKENS',
        ])
          expect(Variables[name], name).toMatch(new RegExp(`^ssm:/taskmaster-reset/${stage}/`))
      }
    },
  )

  test('begins a run of the schedule within the hour or not at all, and tells whom it could not reach', () => {
    const { RetryPolicy, DeadLetterConfig } = propertiesOf('Schedule').Target
    // Later, it would meet the day; and an hour is what ten tries take that wait longer each time.
    expect(RetryPolicy).toEqual({ MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 10 })
    expect(DeadLetterConfig.Arn).toBe('AWS::SQS::Queue:DeadLetters')
  })

  test('lets a service take a role only for this account: it acts for all accounts, and each may name the role', () => {
    const takers = Object.entries(template.Resources)
      .filter(([, { Type }]) => Type === 'AWS::IAM::Role')
      .flatMap(([id]) =>
        (propertiesOf(id).AssumeRolePolicyDocument.Statement as object[]).map((statement) => [id, statement]),
      )
      .filter(([, statement]) => !JSON.stringify(statement).includes('"lambda.amazonaws.com"'))
    expect(takers.map(([id]) => id)).toEqual(expect.arrayContaining(['StateMachineRole', 'ScheduleRole']))
    for (const [id, statement] of takers)
      expect(statement, `${id}`).toMatchObject({
        Condition: { StringEquals: { 'aws:SourceAccount': '000000000000' } },
      })
  })

  test('gives the API less time than the gateway before it, which answers nothing but "timed out" after 30 s', () => {
    expect(propertiesOf('ApiLambdaFunction').Timeout).toBeLessThan(30)
  })

  test('counts cancelling apart from all else at the gateway, so that a flood of the rest locks nobody out of it', () => {
    const { DefaultRouteSettings, RouteSettings } = propertiesOf('HttpApiStage')
    const key = 'POST /v1/runs/{runId}/cancel'
    expect(RouteSettings[key].ThrottlingRateLimit).toBeGreaterThan(DefaultRouteSettings.ThrottlingRateLimit)
    expect(RouteSettings[key].ThrottlingBurstLimit).toBeGreaterThan(DefaultRouteSettings.ThrottlingBurstLimit)
    // Each answer is paid for; a page that is opened asks for several things at once.
    expect(DefaultRouteSettings).toEqual({ ThrottlingBurstLimit: 200, ThrottlingRateLimit: 100 })
    // Settings of a route that is not there yet would fail the deployment.
    const [id] =
      Object.entries(template.Resources).find(([, { Properties }]) => Properties?.RouteKey === key) ?? []
    expect(template.Resources.HttpApiStage?.DependsOn).toContain(id)
  })

  test('lets the machine start its own batches and look at them, write its log and its traces, and nothing else', () => {
    const role = roleOf(template, 'StateMachineRole')
    const arn = (kind: string, name: string) => `arn:aws:states:us-east-1:000000000000:${kind}:${name}`
    const machine = 'taskmaster-reset-local'
    const may = (action: string, resource: string) =>
      allowing(role, { caller: 'machine', action: `states:${action}`, resource }) !== undefined
    expect(may('StartExecution', arn('stateMachine', machine))).toBe(true)
    // A batch of a Map is an execution below the machine's name and the Map's.
    for (const action of ['DescribeExecution', 'StopExecution'])
      for (const execution of [`${machine}:a-batch`, `${machine}/CopyFiles:a-batch`])
        expect(may(action, arn('execution', execution)), `${action} ${execution}`).toBe(true)
    for (const [action, kind] of [
      ['StartExecution', 'stateMachine'],
      ['StopExecution', 'execution'],
    ] as const)
      expect(may(action, arn(kind, 'another/CopyFiles:a-batch')), action).toBe(false)
    // What AWS asks for in the delivery of logs, and for traces. A redriven execution is none of it: its run is over.
    const actions = role.statements.flatMap(({ Effect, Action }) =>
      [Action].flat().map((one) => [Effect, one]),
    )
    expect(actions).toEqual(
      [
        ...[
          'lambda:InvokeFunction',
          'states:StartExecution',
          'states:DescribeExecution',
          'states:StopExecution',
        ],
        ...[
          'CreateLogDelivery',
          'GetLogDelivery',
          'UpdateLogDelivery',
          'DeleteLogDelivery',
          'ListLogDeliveries',
        ].map((one) => `logs:${one}`),
        ...['logs:PutResourcePolicy', 'logs:DescribeResourcePolicies', 'logs:DescribeLogGroups'],
        ...['PutTraceSegments', 'PutTelemetryRecords', 'GetSamplingRules', 'GetSamplingTargets'].map(
          (one) => `xray:${one}`,
        ),
      ].map((one) => ['Allow', one]),
    )
    const everywhere = role.statements.filter(({ Resource }) => [Resource].flat().includes('*'))
    expect(everywhere.flatMap(({ Action }) => Action)).toEqual(
      actions.map(([, one = '']) => one).filter((one) => /^(logs|xray):/.test(one)),
    )
  })

  test('runs the machine as a standard one, which may take hours and does each step once, under its own role, traced', () => {
    for (const packaged of Object.values(stages))
      expect(propertiesOf('StateMachine', packaged)).toMatchObject({
        StateMachineType: 'STANDARD',
        RoleArn: 'arn:aws:iam::000000000000:role/StateMachineRole',
        TracingConfiguration: { Enabled: true },
      })
  })

  test('gives each function the memory that its work takes, all of the time that there is, and no limit beside', () => {
    const vcpu = 1769 // compresses, decompresses or hashes
    const [half, waits, day] = [1024, 512, 900]
    const sizes: Record<string, [memory: number, seconds: number]> = {
      ...{ api: [half, 29], count: [half, day], copy: [half, day] },
      ...{ export: [vcpu, day], load: [vcpu, day], seal: [vcpu, day], verify: [vcpu, day] },
      ...{ wipe: [vcpu, day], restore: [vcpu, day], putback: [vcpu, day] },
      ...{ compare: [waits, day], prune: [waits, day], finish: [waits, 300], ended: [waits, 300] },
      ...{ hooks: [waits, day], notify: [waits, day] },
    }
    expect(functions.map(({ name }) => name).sort()).toEqual(Object.keys(sizes).sort())
    for (const [name, [memory, seconds]] of Object.entries(sizes)) {
      const { MemorySize, Timeout, Architectures, TracingConfig, Environment, Role, ...rest } = propertiesOf(
        `${idOf(name)}LambdaFunction`,
      )
      expect([name, MemorySize, Timeout]).toEqual([name, memory, seconds])
      expect([Architectures, TracingConfig], name).toEqual([['arm64'], { Mode: 'Active' }])
      expect(Role, name).toMatch(new RegExp(`:role/taskmaster-reset-local-us-east-1-${name}$`))
      expect(Environment.Variables.NODE_OPTIONS, name).toBe('--enable-source-maps')
      // No reserved concurrency, which would starve a Map, no network of its own, no other disk.
      expect(Object.keys(rest).sort(), name).toEqual(
        ['Code', 'Description', 'FunctionName', 'Handler', 'Runtime', 'Tags'].sort(),
      )
    }
  })

  test('keeps the end of a run that could not be written down, and a start that could not be delivered, for two weeks', () => {
    for (const name of ['Ended', 'Notify'])
      expect(propertiesOf(`${name}LambdaEvConf`)).toEqual({
        FunctionName: `AWS::Lambda::Function:${name}LambdaFunction`,
        DestinationConfig: { OnFailure: { Destination: 'AWS::SQS::Queue:DeadLetters' } },
        Qualifier: '$LATEST', // and Lambda's own two retries
      })
    expect(propertiesOf('DeadLetters')).toMatchObject({
      MessageRetentionPeriod: 14 * 24 * 3600,
      SqsManagedSseEnabled: true,
    })
  })

  test('lets the schedule start this machine and tell what could not be delivered, and nothing else', () => {
    const [{ PolicyDocument }] = propertiesOf('ScheduleRole').Policies
    expect(PolicyDocument.Statement).toEqual([
      { Effect: 'Allow', Action: 'states:StartExecution', Resource: propertiesOf('Schedule').Target.Arn },
      { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: 'AWS::SQS::Queue:DeadLetters' },
    ])
    expect(propertiesOf('Schedule').Target.RoleArn).toBe('arn:aws:iam::000000000000:role/ScheduleRole')
  })

  test('sends every request to the API, and lets no page of another site in', () => {
    const routes = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::ApiGatewayV2::Route')
    expect(routes.map(({ Properties }) => Properties.RouteKey)).toEqual([
      '$default',
      'POST /v1/runs/{runId}/cancel',
    ])
    for (const { Properties } of routes)
      expect(JSON.stringify(Properties.Target)).toContain('"HttpApiIntegrationApi"')
    expect(propertiesOf('HttpApiIntegrationApi')).toMatchObject({
      IntegrationUri: 'arn:aws:lambda:us-east-1:000000000000:function:taskmaster-reset-local-api',
      PayloadFormatVersion: '2.0',
    })
    expect(propertiesOf('HttpApi').CorsConfiguration).toBeUndefined()
    expect(propertiesOf('HttpApiStage').AccessLogSettings.Format).not.toMatch(
      /authorization|querystring|\.path/i,
    )
  })

  test.runIf(isFull)(
    `gives names, prefixes and what is said of the schedule to whatever uses them ${inFullForm}`,
    () => {
      const { Variables } = propertiesOf('WipeLambdaFunction', odd).Environment
      expect(Variables).toMatchObject({
        ...{ ENVIRONMENT: 'odd', PROTECTED: 'true', LOG_LEVEL: 'DEBUG' },
        ...{ FILES_PREFIX: 'stories/', BACKUP_PREFIX: 'kept/', PRESERVE_ROWS: '{"users":"admin"}' },
      })
      const statementsOf = (name: string) =>
        JSON.stringify(functionsOf(odd).find((one) => one.name === name)?.role.statements)
      expect(statementsOf('wipe')).toContain('-files-000000000000-us-east-1/stories/*"')
      expect(statementsOf('wipe')).toContain('-backups-000000000000-us-east-1/kept/*"')
      for (const { role } of functionsOf(odd))
        expect(JSON.stringify(role.statements)).not.toMatch(/generated_stories|\.taskmaster\/backups/)
      const made = Object.entries(odd.Resources).filter(([, { Type }]) => Type === 'AWS::Scheduler::Schedule')
      expect(made.map(([id]) => id)).toEqual(['ScheduleNightly', 'ScheduleEveryHour'])
      const told = made.map(([id]) => {
        const { State, ScheduleExpression, ScheduleExpressionTimezone, Target } = propertiesOf(id, odd)
        expect(Target).toMatchObject({ RetryPolicy: { MaximumEventAgeInSeconds: 3600 } })
        const { operation, strategy, confirm } = parseRequest(JSON.parse(Target.Input)) as Request & {
          strategy: string
        }
        return [State, ScheduleExpression, ScheduleExpressionTimezone, operation, strategy, confirm]
      })
      expect(told).toEqual([
        ['ENABLED', 'rate(1 day)', 'Europe/Berlin', 'reset', 'files-only', 'odd'],
        ['DISABLED', 'cron(7 * * * ? *)', 'UTC', 'backup', 'full', 'odd'],
      ])
      // What the functions are told is what was made.
      const parsed = variables.SCHEDULES.schema.parse(Variables.SCHEDULES)
      expect(parsed.map(({ name, state, strategy }) => [name, state, strategy])).toEqual([
        ['nightly', 'ENABLED', 'files-only'],
        ['every-hour', 'DISABLED', 'full'],
      ])
      expect(propertiesOf('NoBackupAlarm', odd).EvaluationPeriods).toBe('50')
    },
  )

  test('does by default what docs/operations.md says of each parameter that has a value there', () => {
    const { Variables } = propertiesOf('CountLambdaFunction').Environment
    expect(Variables).toMatchObject({
      ...{
        ENVIRONMENT: 'local',
        PROTECTED: '',
        FILES_PREFIX: 'generated_stories/',
        CACHE_PREFIX: 'taskmaster:',
      },
      ...{
        BACKUP_PREFIX: '.taskmaster/backups/',
        DATABASE_SCHEMAS: 'public',
        LOG_LEVEL: 'INFO',
        PRESERVE_ROWS: '{}',
      },
      ...{ RETENTION_LAST: '7', RETENTION_DAILY: '14', RETENTION_WEEKLY: '8' },
    })
    // Whoever is not to know the hooks is told that there are some.
    expect([Variables.HOOKS, Variables.HOOKS_ON]).toEqual([undefined, 'true'])
    const nothing = Object.keys(Variables).filter((name) => Variables[name] === '')
    expect(nothing.sort()).toEqual(
      [
        ...[
          'PROTECTED',
          'ALLOWED_PRIVATE_HOSTS',
          'EXCLUDE_TABLES',
          'PRESERVE_TABLES',
          'PRESERVE_FILES',
          'PRESERVE_KEYS',
        ],
        ...[
          'MAX_ROWS',
          'MAX_OBJECTS',
          'MAX_KEYS',
          'EXPORT_BATCH_BYTES',
          'LATE_MAX_BYTES',
          'REHEARSE_MAX_BYTES',
          'REHEARSE_WITHIN_DAYS',
        ],
        ...['LOCK_TIMEOUT_MS', 'LOCK_BUDGET_MS', 'PAGE_URL'],
      ].sort(),
    )
    const { ScheduleExpression, ScheduleExpressionTimezone } = propertiesOf('Schedule')
    expect([ScheduleExpression, ScheduleExpressionTimezone]).toEqual(['cron(0 3 * * ? *)', 'UTC'])
    const kept = (of: Template) =>
      Object.entries(of.Resources).flatMap(([id, { Type }]) =>
        Type === 'AWS::Logs::LogGroup' ? [Number(propertiesOf(id, of).RetentionInDays)] : [],
      )
    expect(new Set(kept(template))).toEqual(new Set([30]))
    if (isFull) expect(new Set(kept(prod))).toEqual(new Set([365]))
  })

  test('has buckets that are versioned, encrypted by KMS, private and kept when the stack goes', () => {
    for (const id of ['FilesBucket', 'BackupBucket']) {
      expect(propertiesOf(id).VersioningConfiguration.Status).toBe('Enabled')
      const [{ BucketKeyEnabled, ServerSideEncryptionByDefault }] =
        propertiesOf(id).BucketEncryption.ServerSideEncryptionConfiguration
      expect([BucketKeyEnabled, ServerSideEncryptionByDefault.SSEAlgorithm]).toEqual([true, 'aws:kms'])
      expect(Object.values(propertiesOf(id).PublicAccessBlockConfiguration)).toEqual([true, true, true, true])
    }
    const [{ Resource }] = propertiesOf('BackupBucketPolicy').PolicyDocument.Statement
    expect(Resource).toEqual([`arn:aws:s3:::${backups}`, `arn:aws:s3:::${backups}/*`])
  })

  test('encrypts each bucket with its own key, owns every object in it, and locks a new one where that is said', () => {
    const keyOf = (id: string, of: Template) =>
      propertiesOf(id, of).BucketEncryption.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault
        .KMSMasterKeyID
    if (isFull)
      expect([keyOf('FilesBucket', prod), keyOf('BackupBucket', prod)]).toEqual([
        'AWS::KMS::Key:FilesKey',
        'AWS::KMS::Key:BackupKey',
      ])
    expect([keyOf('FilesBucket', template), keyOf('BackupBucket', template)]).toEqual([undefined, undefined])
    for (const id of ['FilesBucket', 'BackupBucket'])
      expect(propertiesOf(id).OwnershipControls).toEqual({
        Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }],
      })
    const locked = (id: string, of: Template) => {
      const { ObjectLockEnabled, ObjectLockConfiguration } = propertiesOf(id, of)
      return [ObjectLockEnabled, ObjectLockConfiguration]
    }
    const retention = { Mode: 'GOVERNANCE', Days: '14' }
    if (isFull)
      expect(locked('BackupBucket', prod)).toEqual([
        true,
        { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: retention } },
      ])
    for (const [id, of] of [
      ['FilesBucket', isFull ? prod : template],
      ['BackupBucket', template],
    ] as const)
      expect(locked(id, of)).toEqual([undefined, undefined])
  })

  test.runIf(isFull)(
    `lets policies of the account alone decide who may use a key, and CloudWatch use that of the alarms ${inFullForm}`,
    () => {
      const byAccount = {
        Effect: 'Allow',
        Principal: { AWS: 'arn:aws:iam::000000000000:root' },
        ...{ Action: 'kms:*', Resource: '*' },
      }
      for (const id of ['FilesKey', 'BackupKey', 'AlarmKey']) {
        const { KeyPolicy, EnableKeyRotation } = propertiesOf(id, prod)
        expect(KeyPolicy.Statement[0], id).toMatchObject(byAccount)
        expect([KeyPolicy.Statement.length, EnableKeyRotation], id).toEqual([id === 'AlarmKey' ? 2 : 1, true])
      }
    },
  )

  test('keeps buckets, keys, policies and logs when the stack goes, and leaves nothing of a first deployment that failed', () => {
    const kept = (of: Template) =>
      Object.entries(of.Resources)
        .filter(
          ([, { Type, DeletionPolicy }]) =>
            DeletionPolicy === 'RetainExceptOnCreate' && Type !== 'AWS::Lambda::Version',
        )
        .map(([id, { UpdateReplacePolicy }]) => {
          expect(UpdateReplacePolicy, id).toBe('Retain')
          return id
        })
    const logs = [...functions.map(({ name }) => `${idOf(name)}LogGroup`), 'StateMachineLogs']
    const buckets = ['FilesBucket', 'FilesBucketPolicy', 'BackupBucket', 'BackupBucketPolicy']
    expect(kept(template).sort()).toEqual([...buckets, ...logs].sort())
    if (isFull) expect(kept(prod).sort()).toEqual([...buckets, 'BackupKey', 'FilesKey', ...logs].sort())
  })

  test.runIf(isFull)(
    `makes none of what an earlier deployment left, when that is said, and the roles have the names that its policies name ${inFullForm}`,
    () => {
      const made = Object.entries(odd.Resources).map(([id, { Type }]) => `${Type} ${id}`)
      expect(made.filter((line) => /S3::Bucket|LogGroup/.test(line))).toEqual([
        'AWS::S3::Bucket ServerlessDeploymentBucket',
        'AWS::S3::BucketPolicy ServerlessDeploymentBucketPolicy',
        'AWS::Logs::LogGroup HttpApiLogGroup',
      ])
      // A log that is not there, as of a function that came later, is made by the first who writes it; only then.
      const resource = 'arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/taskmaster-reset-'
      const makesLog = (of: Template, group: string) =>
        functionsOf(of).filter(({ name, role }) =>
          allowing(role, { caller: name, action: 'logs:CreateLogGroup', resource: `${resource}${group}` }),
        ).length
      expect(makesLog(odd, 'a-longer-name-16-new')).toBe(functions.length)
      expect([makesLog(odd, 'another-new'), makesLog(template, 'local-new')]).toEqual([0, 0])
      const { BACKUP_BUCKET } = propertiesOf('CountLambdaFunction', odd).Environment.Variables
      expect(BACKUP_BUCKET).toBe('taskmaster-a-longer-name-16-backups-000000000000-us-east-1')
      const named = JSON.stringify(propertiesOf('BackupBucketPolicy').PolicyDocument).match(/role\/[\w-]+/g)
      expect(new Set(named)).toEqual(
        new Set(
          ['prune', 'count', 'seal', 'export', 'copy', 'compare', 'wipe', 'restore', 'putback', 'verify'].map(
            (name) => `role/taskmaster-reset-local-us-east-1-${name}`,
          ),
        ),
      )
    },
  )

  test('keeps the bucket of the deployments from being made public, too', () => {
    for (const each of Object.values(stages))
      expect(propertiesOf('ServerlessDeploymentBucket', each).PublicAccessBlockConfiguration).toEqual({
        ...{ BlockPublicAcls: true, BlockPublicPolicy: true },
        ...{ IgnorePublicAcls: true, RestrictPublicBuckets: true },
      })
  })

  test.runIf(isFull)(
    `has two keys: nobody but the functions needs that of the backups, and few of them that of the files ${inFullForm}`,
    () => {
      for (const id of ['FilesKey', 'BackupKey']) {
        const { EnableKeyRotation, PendingWindowInDays } = propertiesOf(id, prod)
        expect([EnableKeyRotation, PendingWindowInDays], id).toEqual([true, 30])
      }
      const uses = (action: string, key: string, of = odd) =>
        functionsOf(of)
          .filter(({ name, role }) => allowing(role, { caller: name, action, resource: key }))
          .map(({ name }) => name)
      const everyone = functions.map(({ name }) => name)
      expect(uses('kms:Decrypt', keys.backups)).toEqual(everyone)
      expect(uses('kms:GenerateDataKey', keys.backups)).toEqual(everyone)
      expect(uses('kms:Decrypt', 'AWS::KMS::Key:BackupKey', prod)).toEqual(everyone)
      expect(uses('kms:Decrypt', keys.files).sort()).toEqual(
        ['api', 'copy', 'count', 'prune', 'putback', 'wipe'].sort(),
      )
      expect(uses('kms:GenerateDataKey', keys.files).sort()).toEqual(['count', 'putback'])
      for (const action of ['kms:Decrypt', 'kms:GenerateDataKey'])
        expect(uses(action, keys.files.replace(/f$/, 'of-somebody-else')), action).toEqual([])
      // Where none is given, or this is said, S3's own key of the account is used, for which nobody needs a grant.
      const granted = functionsOf(template).flatMap(({ role }) => role.statements)
      const ofBuckets = granted.filter(({ Resource }) => Resource !== 'AWS::KMS::Key:AlarmKey')
      expect(JSON.stringify(ofBuckets)).not.toContain('kms:')
      for (const id of ['FilesKey', 'BackupKey'])
        expect([isMade(template, id), isMade(prod, id), isMade(odd, id)], id).toEqual([false, true, false])
    },
  )

  test.runIf(isFull)(
    `gives every resource the tags that tell of which service, stage and environment it is ${inFullForm}`,
    async () => {
      const tags = { service: 'taskmaster-reset', stage: 'a-longer-name-16', environment: 'odd' }
      const { Tags } = propertiesOf('WipeLambdaFunction', odd)
      expect(Object.fromEntries(Tags.map(({ Key, Value }: Record<string, string>) => [Key, Value]))).toEqual(
        tags,
      )
      expect(odd.provider).toMatchObject({ stackTags: tags, iam: { deploymentRole: role } })
    },
  )

  test('brings back for a month what was deleted or overwritten, and takes away uploads that nobody ends', () => {
    const gone = { NoncurrentVersionExpiration: { NoncurrentDays: 30 } }
    const oldVersions = {
      Id: 'OldVersionsExpire',
      Status: 'Enabled',
      ...gone,
      ExpiredObjectDeleteMarker: true,
    }
    const unfinished = {
      ...{ Id: 'UnfinishedUploadsExpire', Status: 'Enabled' },
      // An upload of a step takes 15 minutes at most.
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
    }
    const runs = {
      ...{ Id: 'RunsExpire', Status: 'Enabled', Prefix: '.taskmaster/runs/', ExpirationInDays: 15 },
      NoncurrentVersionExpiration: { NoncurrentDays: 1 },
    }
    const rulesOf = (id: string, of = template) => propertiesOf(id, of).LifecycleConfiguration.Rules
    expect(rulesOf('FilesBucket')).toEqual([oldVersions, unfinished])
    expect(rulesOf('BackupBucket')).toEqual([oldVersions, unfinished, runs])
    if (isFull)
      expect(rulesOf('FilesBucket', prod)[0].NoncurrentVersionExpiration).toEqual({ NoncurrentDays: '45' })
  })

  test('expires the work of runs and nothing else: no rule reaches an object below the prefix of the backups', () => {
    type Rule = { Id: string; Status: string; Prefix?: string; Filter?: unknown; Transitions?: unknown }
    for (const packaged of isFull ? [template, prod] : [template]) {
      for (const id of ['FilesBucket', 'BackupBucket']) {
        const rules: Rule[] = propertiesOf(id, packaged).LifecycleConfiguration.Rules
        const expiring = rules.filter((rule) =>
          Object.keys(rule).some((key) => /^(Expiration|Transition)/.test(key)),
        )
        for (const { Id, Prefix, Filter } of expiring)
          expect([id, Id, Prefix, Filter]).toEqual([
            'BackupBucket',
            'RunsExpire',
            '.taskmaster/runs/',
            undefined,
          ])
        expect(expiring).toHaveLength(id === 'BackupBucket' ? 1 : 0)
      }
    }
  })
})

describe('what watches over the runs', () => {
  const alarms = (of: Template) =>
    Object.entries(of.Resources).filter(
      ([id, { Type }]) => Type === 'AWS::CloudWatch::Alarm' && isMade(of, id),
    )

  test('tells one topic, at once and by one period, of what is above nothing', () => {
    const watched = isFull ? prod : template
    if (isFull)
      expect(alarms(prod).map(([id]) => id)).toEqual([
        ...['RunFailedAlarm', 'RunAbortedAlarm', 'NoBackupAlarm', 'BaselineOutdatedAlarm', 'NoticesAlarm'],
        'NotDeliveredAlarm',
        ...[
          'StepErrorsAlarm',
          'LaterStepErrorsAlarm',
          'StepThrottlesAlarm',
          'LaterStepThrottlesAlarm',
          'StepDurationAlarm',
          'LaterStepDurationAlarm',
          'ServiceErrorsAlarm',
          'ApiErrorsAlarm',
        ],
      ])
    for (const [id] of alarms(watched)) {
      const { AlarmActions, ActionsEnabled, DatapointsToAlarm } = propertiesOf(id, watched)
      expect([AlarmActions, ActionsEnabled, DatapointsToAlarm], id).toEqual([
        ['AWS::SNS::Topic:Alarms'],
        undefined,
        undefined,
      ])
    }
    for (const id of [
      ...['RunFailedAlarm', 'RunAbortedAlarm', 'NotDeliveredAlarm', 'ServiceErrorsAlarm', 'ApiErrorsAlarm'],
    ])
      expect(propertiesOf(id), id).toMatchObject({
        ComparisonOperator: 'GreaterThanThreshold',
        Threshold: 0,
        EvaluationPeriods: 1,
        TreatMissingData: 'notBreaching',
      })
  })

  test('counts one run that failed, and one that timed out, each when there is none of the other', () => {
    const { Metrics } = propertiesOf('RunFailedAlarm')
    // A metric without data is no zero: without FILL the sum of one number and nothing is nothing.
    expect(Metrics[0]).toEqual({ Id: 'ended', Expression: 'FILL(failed, 0) + FILL(timedOut, 0)' })
    expect(Metrics.slice(1)).toMatchObject([
      {
        Id: 'failed',
        ReturnData: false,
        MetricStat: { Stat: 'Sum', Metric: { MetricName: 'ExecutionsFailed' } },
      },
      {
        Id: 'timedOut',
        ReturnData: false,
        MetricStat: { Stat: 'Sum', Metric: { MetricName: 'ExecutionsTimedOut' } },
      },
    ])
  })

  test('watches every function: that it fails, that Lambda has no room for it, and that it comes near its end', () => {
    const watched = (id: string, name: string) =>
      (
        propertiesOf(id).Metrics as {
          MetricStat?: { Metric: { MetricName: string; Dimensions: { Value: string }[] } }
        }[]
      )
        .filter(({ MetricStat }) => MetricStat?.Metric.MetricName === name)
        .map(({ MetricStat }) => MetricStat?.Metric.Dimensions[0]?.Value)
    const all = functions.map(({ name }) => `AWS::Lambda::Function:${idOf(name)}LambdaFunction`)
    const service = all.filter((name) => /(Api|Finish|Ended|Notify)Lambda/.test(name))
    const steps = all.filter((name) => !service.includes(name))
    for (const name of ['Errors', 'Throttles', 'Duration']) {
      const both = [...watched(`Step${name}Alarm`, name), ...watched(`LaterStep${name}Alarm`, name)]
      expect(both.sort(), name).toEqual(steps.sort())
    }
    for (const name of ['Errors', 'Throttles'])
      expect(watched('ServiceErrorsAlarm', name).sort()).toEqual(service.sort())
    const { Timeout } = propertiesOf('WipeLambdaFunction')
    for (const id of ['StepDurationAlarm', 'LaterStepDurationAlarm'])
      expect(propertiesOf(id).Threshold, id).toBe((Timeout - 60) * 1000)
    // No alarm may have more than ten metrics beside its expression.
    for (const [id, { Properties }] of alarms(isFull ? prod : template))
      expect(Properties.Metrics?.length ?? 1, id).toBeLessThanOrEqual(11)
  })

  test('watches this stage alone, over the time that is said, and adds up what every function did', () => {
    const machine = [{ Name: 'StateMachineArn', Value: propertiesOf('Schedule').Target.Arn }]
    for (const { MetricStat } of propertiesOf('RunFailedAlarm').Metrics.slice(1))
      expect(MetricStat).toMatchObject({
        Period: 300,
        Metric: { Namespace: 'AWS/States', Dimensions: machine },
      })
    const one = { Period: 300, Statistic: 'Sum' }
    expect(propertiesOf('RunAbortedAlarm')).toMatchObject({
      ...{ ...one, Namespace: 'AWS/States', MetricName: 'ExecutionsAborted', Dimensions: machine },
    })
    expect(propertiesOf('ApiErrorsAlarm')).toMatchObject({
      ...{ ...one, Namespace: 'AWS/ApiGateway', MetricName: '5xx' },
      Dimensions: [{ Name: 'ApiId', Value: 'AWS::ApiGatewayV2::Api:HttpApi' }],
    })
    expect(propertiesOf('NotDeliveredAlarm')).toMatchObject({
      ...{ Period: 300, Statistic: 'Maximum', Namespace: 'AWS/SQS' },
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Dimensions: [{ Name: 'QueueName', Value: 'AWS::SQS::Queue:DeadLetters.QueueName' }],
    })
    const above = {
      EvaluationPeriods: 1,
      ComparisonOperator: 'GreaterThanThreshold',
      TreatMissingData: 'notBreaching',
    }
    const sum = 'SUM(FILL(METRICS(), 0))'
    for (const [id, Expression, Stat, Period, Threshold] of [
      ...['StepErrorsAlarm', 'LaterStepErrorsAlarm', 'StepThrottlesAlarm', 'LaterStepThrottlesAlarm'].map(
        (id) => [id, sum, 'Sum', 900, 20] as const,
      ),
      ...['StepDurationAlarm', 'LaterStepDurationAlarm'].map(
        (id) => [id, 'MAX(FILL(METRICS(), 0))', 'Maximum', 900, 840_000] as const,
      ),
      ['ServiceErrorsAlarm', sum, 'Sum', 300, 0],
    ] as const) {
      const { Metrics, ...alarm } = propertiesOf(id)
      expect(alarm, id).toMatchObject({ ...above, Threshold })
      expect(Metrics[0], id).toEqual({ Id: 'all', Expression })
      for (const { ReturnData, MetricStat } of Metrics.slice(1)) {
        const { Namespace, Dimensions } = MetricStat.Metric
        expect([ReturnData, MetricStat.Stat, MetricStat.Period], id).toEqual([false, Stat, Period])
        expect([Namespace, Dimensions[0].Name, Dimensions.length], id).toEqual([
          'AWS/Lambda',
          'FunctionName',
          1,
        ])
      }
    }
    for (const packaged of Object.values(stages))
      for (const [id] of alarms(packaged))
        expect(propertiesOf(id, packaged).AlarmDescription, id).toContain(
          propertiesOf('StateMachine', packaged).StateMachineName,
        )
  })

  test.runIf(isFull)(
    `counts a sealed backup in the log of "finish", as one, under the name that the alarm asks for ${inFullForm}`,
    () => {
      const { LogGroupName, MetricTransformations } = propertiesOf('SealedBackups', prod)
      expect(LogGroupName).toBe(propertiesOf('FinishLogGroup', prod).LogGroupName)
      const { Namespace, MetricName, Dimensions } = propertiesOf('NoBackupAlarm', prod)
      expect(MetricTransformations).toEqual([{ MetricNamespace: Namespace, MetricName, MetricValue: '1' }])
      expect([Namespace, Dimensions]).toEqual(['taskmaster-reset-prod', undefined])
    },
  )

  test('writes to whom it should, and to nobody when none is named', () => {
    if (isFull)
      expect(propertiesOf('AlarmEmail', odd)).toEqual({
        TopicArn: 'AWS::SNS::Topic:Alarms',
        ...{ Protocol: 'email', Endpoint: 'me@example.com' },
      })
    expect(isMade(template, 'AlarmEmail')).toBe(false)
    const { Topics, PolicyDocument } = propertiesOf('AlarmsPolicy')
    expect([Topics, PolicyDocument.Statement[0].Resource]).toEqual([
      ['AWS::SNS::Topic:Alarms'],
      'AWS::SNS::Topic:Alarms',
    ])
  })

  test.runIf(isFull)(
    `watches metrics that there are: three of our own, which logs make, and those that AWS describes ${inFullForm}`,
    () => {
      const watched = alarms(prod).flatMap(([id]) => {
        const { Namespace, MetricName, Metrics = [] } = propertiesOf(id, prod)
        type Given = { MetricStat?: { Metric: { Namespace: string; MetricName: string } } }
        const metrics = (Metrics as Given[]).flatMap(({ MetricStat }) => MetricStat?.Metric ?? [])
        return [...metrics, ...(MetricName === undefined ? [] : [{ Namespace, MetricName }])]
      })
      const [{ MetricNamespace, MetricName }] = propertiesOf('SealedBackups', prod).MetricTransformations
      expect(watched.filter((metric) => !isMetric(metric.Namespace, metric.MetricName))).toEqual([
        ...[MetricName, 'OutdatedBaselines', 'NoticesFailed'].map((name) => ({
          Namespace: MetricNamespace,
          MetricName: name,
        })),
      ])
      expect(watched).toHaveLength(52) // each is paid for: docs/operations.md
    },
  )

  test('sends alarms through a topic that is encrypted with a key which CloudWatch may use, and nobody else may publish to', () => {
    expect(propertiesOf('Alarms').KmsMasterKeyId).toBe('AWS::KMS::Key:AlarmKey')
    const ours = { StringEquals: { 'aws:SourceAccount': '000000000000' } }
    const cloudwatch = { Principal: { Service: 'cloudwatch.amazonaws.com' }, Condition: ours }
    expect(propertiesOf('AlarmKey').KeyPolicy.Statement[1]).toMatchObject({
      ...cloudwatch,
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
    })
    expect(propertiesOf('AlarmsPolicy').PolicyDocument.Statement).toMatchObject([
      { ...cloudwatch, Action: 'sns:Publish' },
    ])
  })

  test('draws a dashboard of what exists, unless it is not wanted', () => {
    const body = propertiesOf('Dashboard').DashboardBody
    const { widgets } = JSON.parse(body)
    expect(widgets.length).toBeGreaterThan(4)
    // Every function by its name. A search would take what is in quotation marks for a whole name, and without them find the
    // functions of each stage whose name begins with the words of this one.
    const drawn = (metric: string) =>
      (widgets as { properties: { metrics: unknown[][] } }[])
        .flatMap(({ properties }) => spelledOut(properties.metrics))
        .filter(([namespace, name]) => namespace === 'AWS/Lambda' && name === metric)
        .map(([, , , name]) => name)
    for (const metric of ['Errors', 'Throttles', 'Duration'])
      expect(drawn(metric).sort(), metric).toEqual(
        functions.map(({ name }) => `AWS::Lambda::Function:${idOf(name)}LambdaFunction`).sort(),
      )
    const others = (widgets as { properties: { metrics: unknown[][] } }[])
      .flatMap(({ properties }) => spelledOut(properties.metrics))
      .filter(([namespace, name]) => !isMetric(`${namespace}`, `${name}`))
    // Which logs make: of "finish", and of "notify".
    const ours = [
      'SealedBackups',
      'Runs',
      'StepDuration',
      'Rows',
      'TakenOverRows',
      'Bytes',
      'ProvedBackupAge',
    ]
    expect(new Set(others.map(([namespace, name]) => `${namespace} ${name}`))).toEqual(
      new Set(
        [...ours, 'OutdatedBaselines', 'NoticesFailed'].map((name) => `taskmaster-reset-local ${name}`),
      ),
    )
    const ends = others.filter(([, name]) => name === 'Runs').map(([, , , of, , end]) => `${of} ${end}`)
    const operations = ['backup', 'reset', 'reset-to', 'restore']
    const told = ['succeeded', 'succeeded_with_warnings', 'failed', 'cancelled']
    expect(ends).toEqual(operations.flatMap((of) => told.map((end) => `${of} ${end}`)))
    expect(body).not.toContain('SEARCH')
    expect(body).not.toContain('${')
    expect(body).toContain('arn:aws:states:us-east-1:000000000000:stateMachine:taskmaster-reset-local')
    if (isFull) expect(isMade(odd, 'Dashboard')).toBe(false)
  })

  test('takes no sign of a backup for no backup, while the schedule is on', () => {
    if (isFull)
      expect(propertiesOf('NoBackupAlarm', prod)).toMatchObject({
        ...{ ComparisonOperator: 'LessThanThreshold', Threshold: 1, Statistic: 'Sum' },
        ...{ TreatMissingData: 'breaching', Period: 3600, EvaluationPeriods: 26 },
      })
    expect(isMade(template, 'NoBackupAlarm')).toBe(false)
  })

  test('calls "ended" when an execution of the machine failed, timed out or was aborted, and only then; "notify" at each begin and end, and when a backup is missing', () => {
    const rules = Object.entries(template.Resources).filter(([, { Type }]) => Type === 'AWS::Events::Rule')
    const ruleOf = (id: string) => {
      const arn = `arn:aws:lambda:us-east-1:000000000000:function:${propertiesOf(id).FunctionName}`
      return rules.map(([rule]) => propertiesOf(rule)).filter(({ Targets }) => Targets[0].Arn === arn)
    }
    expect(rules).toHaveLength(3)
    const [{ EventPattern, State }] = ruleOf('EndedLambdaFunction')
    const [told, missing] = ruleOf('NotifyLambdaFunction')
    expect([State, told.State, missing.State]).toEqual(['ENABLED', 'ENABLED', 'ENABLED'])
    const arn = 'arn:aws:states:us-east-1:000000000000:stateMachine:taskmaster-reset-local'
    const event = (status: string, stateMachineArn = arn) => ({
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      detail: { status, stateMachineArn, name: 'run', executionArn: 'arn' },
    })
    const statuses = ['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED', 'PENDING_REDRIVE']
    expect(statuses.filter((status) => matchesPattern(EventPattern, event(status)))).toEqual([
      'FAILED',
      'TIMED_OUT',
      'ABORTED',
    ])
    const alarmed = (name: string, value: string) => ({
      source: 'aws.cloudwatch',
      'detail-type': 'CloudWatch Alarm State Change',
      resources: [`arn:aws:cloudwatch:us-east-1:000000000000:alarm:${name}`],
      detail: { state: { value } },
    })
    const hears = (name: string, value: string) => matchesPattern(missing.EventPattern, alarmed(name, value))
    const noBackup = 'taskmaster-reset-local-no-backup'
    expect([hears(noBackup, 'ALARM'), hears(noBackup, 'OK'), hears('other', 'ALARM')]).toEqual([
      true,
      false,
      false,
    ])
    if (isFull) expect(propertiesOf('NoBackupAlarm', prod).AlarmName).toBe('taskmaster-reset-prod-no-backup')
    expect(statuses.filter((status) => matchesPattern(told.EventPattern, event(status)))).toEqual([
      'RUNNING',
      'SUCCEEDED',
      'FAILED',
      'TIMED_OUT',
      'ABORTED',
    ])
    // The batches of a Map are executions too: of a machine that is named after the Map.
    for (const pattern of [EventPattern, told.EventPattern])
      expect(matchesPattern(pattern, event('FAILED', `${arn}/CopyFiles`))).toBe(false)
  })

  test('keeps every log for a time, and no request or row in the log of the machine', () => {
    for (const packaged of isFull ? [template, prod] : [template]) {
      const logs = Object.entries(packaged.Resources).filter(([, { Type }]) => Type === 'AWS::Logs::LogGroup')
      expect(logs.map(([id]) => id)).toContain('StateMachineLogs')
      for (const [id] of logs) {
        expect(propertiesOf(id, packaged).RetentionInDays, id).toBeGreaterThan(0)
        expect(propertiesOf(id, packaged).RetentionInDays, id).toBeLessThanOrEqual(365)
      }
      const { IncludeExecutionData, Level, Destinations } = propertiesOf(
        'StateMachine',
        packaged,
      ).LoggingConfiguration
      expect([IncludeExecutionData, Level]).toEqual([false, 'ALL'])
      expect(Destinations).toEqual([
        {
          CloudWatchLogsLogGroup: {
            LogGroupArn: logsOf(propertiesOf('StateMachineLogs', packaged).LogGroupName),
          },
        },
      ])
    }
  })
})

/** The metrics of a widget, with what the line before says in place of "." (that field) and "..." (the fields so far). */
function spelledOut(metrics: readonly unknown[][]): unknown[][] {
  let before: unknown[] = []
  return metrics.map((line) => {
    const fields = line.filter((field) => typeof field === 'string')
    const own =
      fields[0] === '...'
        ? [...before.slice(0, before.length + 1 - fields.length), ...fields.slice(1)]
        : fields
    before = own.map((field, index) => (field === '.' ? before[index] : field))
    return before
  })
}

const logsOf = (name: string) => `arn:aws:logs:us-east-1:000000000000:log-group:${name}:*`

/** As EventBridge does it for a pattern of plain values: every field that is named has one of the values. */
function matchesPattern(pattern: Record<string, unknown>, event: Record<string, unknown>): boolean {
  return Object.entries(pattern).every(([key, wanted]) =>
    Array.isArray(wanted)
      ? [event[key]].flat().some((one) => wanted.includes(one))
      : matchesPattern(wanted as Record<string, unknown>, event[key] as Record<string, unknown>),
  )
}

describe('CloudFormation takes', () => {
  test('every resource of every stage: its type, its properties and what it refers to', () => {
    for (const [stage, of] of Object.entries(stages)) expect(problemsOf(of), stage).toEqual([])
    expect(problemsOf(wrong)).toEqual([
      'Bucket.VersioningConfiguration has no property Enabled',
      'Bucket.VersioningConfiguration lacks Status',
      'Bucket depends on Nobody, which is not there',
      'Bucket has UpdateReplacePolicy: "RetainExceptOnCreate"',
      'Queue.MessageRetentionPeriod is no number: "long"',
      'Queue asks for Name of Bucket, which AWS::S3::Bucket does not have',
      'Machine: there is no AWS::StepFunctions::Machine',
    ])
  })

  test('the template of the roles that a deployment from GitHub has', () => {
    const roles = JSON.parse(
      readFileSync(new URL('../../infra/deployment-role.json', import.meta.url), 'utf8'),
    )
    expect(problemsOf(roles)).toEqual([])
  })

  test('from the role of a deployment from GitHub: it may make, tag and delete each resource of its stage, of no other', () => {
    const { Resources } = JSON.parse(
      readFileSync(new URL('../../infra/deployment-role.json', import.meta.url), 'utf8'),
    )
    const statementsFor = (Stage: string) =>
      ['StoresPolicy', 'ServicesPolicy'].flatMap((id) =>
        JSON.parse(
          JSON.stringify(Resources[id].Properties.PolicyDocument.Statement)
            .replaceAll(/\{"Fn::Sub":("[^"]+")\}/g, '$1')
            .replaceAll('{"Ref":"Stage"}', '"$' + '{Stage}"')
            .replaceAll(/\$\{([\w:]+)\}/g, (_, name) =>
              String(
                { Stage, 'AWS::Partition': 'aws', 'AWS::Region': 'us-east-1' }[name as 'Stage'] ??
                  '000000000000',
              ),
            ),
        ),
      )
    const roleFor = (stage: string): Role => ({
      arn: 'role',
      statements: statementsFor(stage),
      ofBuckets: [],
    })
    const actionsOf = actionsByType(propertiesOf)
    const unknown = Object.values(template.Resources).filter(
      ({ Type }) => !(Type in actionsOf) && !comesWithOthers.includes(Type),
    )
    expect(unknown).toEqual([])
    const [ours, theirs] = [roleFor('local'), roleFor('other')]
    for (const [id, { Type }] of Object.entries(template.Resources)) {
      const [arnOf, actions] = actionsOf[Type] ?? [() => '', '']
      for (const action of actions.split(' ').filter(Boolean)) {
        const call = { caller: 'cloudformation', action, resource: arnOf(id) }
        expect(allowing(ours, call), `${action} ${call.resource}`).toBeDefined()
        if (/^(apigateway|logs:Describe)/.test(action)) continue // AWS gives them no name of ours
        expect(allowing(theirs, call), `${action} ${call.resource}`).toBeUndefined()
      }
    }
    const tags = { service: 'taskmaster-reset', stage: 'local' }
    const tagged = (kind: string) =>
      Object.fromEntries(Object.entries(tags).map(([name, value]) => [`aws:${kind}/${name}`, value]))
    for (const [action, kind] of [
      ['CreateKey', 'RequestTag'],
      ['PutKeyPolicy', 'ResourceTag'],
      ['ScheduleKeyDeletion', 'ResourceTag'],
      ['EnableKeyRotation', 'ResourceTag'],
    ] as const) {
      const call = {
        caller: 'cloudformation',
        action: `kms:${action}`,
        resource: 'arn:aws:kms:us-east-1:000000000000:key/1',
      }
      expect(allowing(ours, { ...call, context: tagged(kind) }), action).toBeDefined()
      expect(allowing(ours, call), action).toBeUndefined()
      expect(allowing(theirs, { ...call, context: tagged(kind) }), action).toBeUndefined()
    }
    const attach = {
      caller: 'cloudformation',
      action: 'iam:AttachRolePolicy',
      resource: 'arn:aws:iam::000000000000:role/taskmaster-reset-local-us-east-1-wipe',
    }
    const policy = (name: string) => ({ 'iam:PolicyARN': `arn:aws:iam::${name}` })
    expect(
      allowing(ours, {
        ...attach,
        context: policy('000000000000:policy/taskmaster-reset-local-FunctionPolicy-1'),
      }),
    ).toBeDefined()
    expect(allowing(ours, { ...attach, context: policy('aws:policy/AdministratorAccess') })).toBeUndefined()
    const pass = { ...attach, action: 'iam:PassRole' }
    const passed = ['lambda', 'states', 'scheduler', 'ec2', 'cloudformation', 'glue'].filter(
      (name) =>
        allowing(ours, { ...pass, context: { 'iam:PassedToService': `${name}.amazonaws.com` } }) !==
        undefined,
    )
    expect(passed).toEqual(['lambda', 'states', 'scheduler'])
  })

  const wrong = {
    Outputs: {},
    Resources: {
      Bucket: {
        ...{ Type: 'AWS::S3::Bucket', DependsOn: 'Nobody', UpdateReplacePolicy: 'RetainExceptOnCreate' },
        Properties: { VersioningConfiguration: { Enabled: true } },
      },
      Queue: {
        Type: 'AWS::SQS::Queue',
        Properties: { MessageRetentionPeriod: 'long', QueueName: { 'Fn::GetAtt': ['Bucket', 'Name'] } },
      },
      Machine: { Type: 'AWS::StepFunctions::Machine', Properties: {} },
    },
  } as unknown as Template

  test('policies, environments and templates of this size', () => {
    const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
    for (const packaged of Object.values(stages)) {
      expect(bytes(packaged)).toBeLessThan(1_000_000)
      for (const [id, { Type }] of Object.entries(packaged.Resources)) {
        if (
          !/ManagedPolicy|BucketPolicy|IAM::Role|Lambda::Function/.test(Type) ||
          id.startsWith('Serverless')
        )
          continue
        const properties = propertiesOf(id, packaged)
        if (Type === 'AWS::IAM::ManagedPolicy')
          expect(bytes(properties.PolicyDocument), id).toBeLessThan(6_144)
        if (Type === 'AWS::S3::BucketPolicy')
          expect(bytes(properties.PolicyDocument), id).toBeLessThan(20_480)
        if (Type === 'AWS::IAM::Role') expect(bytes(properties.Policies), id).toBeLessThan(10_240)
        if (Type === 'AWS::Lambda::Function')
          expect(bytes(properties.Environment.Variables), id).toBeLessThan(4_096)
      }
    }
  })

  test.runIf(isFull)(
    'no key made for a bucket that is there, and no stage of a name that AWS refuses, and no schedule that could not run: packaging says why, beside nothing made (full form)',
    async () => {
      const noKey = (bucket: string) => [
        `No key can be made for the ${bucket} bucket, which is there and has one`,
        `--param="${bucket}-kms-key-arn=arn:aws:kms:…"`,
      ]
      const noStage = (stage: string) => `The stage "${stage}" cannot be deployed: `
      const refused: [stage: string, parameters: Record<string, string>, said: string[]][] = [
        ['local', { 'files-kms-key-arn': 'made', 'adopt-existing': 'true' }, noKey('files')],
        ['local', { 'backup-kms-key-arn': 'made', 'backup-bucket': 'my-backups' }, noKey('backup')],
        ['Prod', {}, [noStage('Prod'), 'begins with a letter and does not end in "-". Use --stage prod']],
        ['2nd', {}, [noStage('2nd'), 'begins with a letter']],
        [
          'local',
          { 'schedule-expression': 'cron(0 3 * * *)' },
          [noStage('local'), 'SCHEDULES, "schedule": cron has six fields'],
        ],
        [
          'local',
          { schedules: '[{"name":"role","operation":"backup","expression":"rate(1 hour)"}]' },
          ['cannot be called "role"'],
        ],
        [
          'local',
          { schedules: JSON.stringify(Array(101).fill({})) },
          ['SCHEDULES has 101 schedules, and at most 100 are taken'],
        ],
        [
          'a-much-too-long-name',
          {},
          [
            noStage('a-much-too-long-name'),
            'has 65 characters, 2 more than AWS takes. In eu-central-1 use a stage of at most 18 ',
          ],
        ],
      ]
      await Promise.all(
        refused.map(async ([stage, parameters, wanted]) => {
          const said = await packageStage(stage, parameters).then(
            () => 'it was packaged',
            ({ stdout, stderr }) => `${stdout}${stderr}`.replaceAll(/\s+/g, ' '),
          )
          for (const part of wanted) expect(said).toContain(part)
        }),
      )
    },
  )
})

describe('the roles refuse', () => {
  const sealed = `arn:aws:s3:::${backups}/.taskmaster/backups/2026-11-22T19-05-33Z-3f9a2c`
  const file = `arn:aws:s3:::${files}/generated_stories/story.txt`
  const writesOver = { 's3:ObjectCreationOperation': 'true' }
  const writesOnce = { ...writesOver, 's3:if-none-match': '*' }
  const parts = [
    'pinned.json',
    'pruning.json',
    'manifest.json',
    'late-1.json',
    'files.jsonl.zst',
    'files/story.txt',
    'files/pinned.json',
    'cache/00000.jsonl.zst',
    'database/public.users/00000.jsonl.zst',
    'database/public.users/00000.ranges',
  ]
  const machine = 'arn:aws:states:us-east-1:000000000000:stateMachine:taskmaster-reset-local'
  const may = (call: Call) => {
    const { role } = functions.find(({ name }) => name === call.caller) as Deployed
    return allowing(role, call) !== undefined
  }
  const who = (call: Omit<Call, 'caller'>) =>
    functions.map(({ name }) => name).filter((caller) => may({ caller, ...call }))

  test('to read, make, replace and delete each kind of object to all but those whose work it is', () => {
    const run = `arn:aws:s3:::${backups}/.taskmaster/runs/one/0`
    const under = (folder: string, kinds: typeof permittedFiles) =>
      Object.entries(kinds).map(([key, permitted]) => [`${folder}/${key}`, permitted] as const)
    for (const [object, permitted] of [
      ...under(`arn:aws:s3:::${files}`, permittedFiles),
      ...under(sealed, permittedInBackups),
      ...under(run, permittedOfRuns),
      ...under(`arn:aws:s3:::${backups}`, { 'other.json': {} }),
    ]) {
      const expected = (names = '') => names.split(' ').filter(Boolean).sort()
      const they = (action: string, context = {}) =>
        who({ action: `s3:${action}`, resource: object, context }).sort()
      expect(
        {
          reads: they('GetObject'),
          makes: they('PutObject', writesOnce),
          replaces: they('PutObject', writesOver),
          deletes: they('DeleteObject'),
          givesUp: they('AbortMultipartUpload'),
          readsTags: [they('GetObjectTagging'), they('GetObjectAnnotation')],
          writesTags: [they('PutObjectTagging'), they('PutObjectAnnotation')],
          others: ['DeleteObjectVersion', 'GetObjectVersion', 'PutObjectAcl', 'PutObjectRetention'].flatMap(
            (action) => they(action),
          ),
        },
        object,
      ).toEqual({
        reads: expected(permitted.reads),
        makes: expected(permitted.makes),
        replaces: expected(permitted.replaces),
        deletes: expected(permitted.deletes),
        givesUp: expected(permitted.givesUp),
        readsTags: [expected(permitted.readsTags), expected(permitted.readsTags)],
        writesTags: [expected(permitted.writesTags), expected(permitted.writesTags)],
        others: [],
      })
    }
    const lists = (bucket: string) =>
      who({ action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }).sort()
    expect(lists(files)).toEqual(['api', 'copy', 'count', 'putback', 'verify', 'wipe'])
    const inLedger = ['hooks'] // what it needs to know stands there
    const others = functions.map(({ name }) => name).filter((name) => !inLedger.includes(name))
    expect(lists(backups)).toEqual(others.sort())
  })

  test.each(parts)('to delete %s of a backup to all but prune, and its versions to all', (part) => {
    expect(who({ action: 's3:DeleteObject', resource: `${sealed}/${part}` })).toEqual(['prune'])
    expect(who({ action: 's3:DeleteObjectVersion', resource: `${sealed}/${part}` })).toEqual([])
  })

  test('to delete anything of a backup, in any version, whatever else is granted to a function, but to prune', () => {
    // In a bucket that was there before, which has a policy of its own.
    const granted = (role: Role): Role => ({
      ...role,
      ...{
        statements: [...role.statements, { Effect: 'Allow', Action: 's3:*', Resource: '*' }],
        ofBuckets: [],
      },
    })
    for (const { name, role } of functions) {
      for (const action of ['s3:DeleteObject', 's3:DeleteObjectVersion']) {
        const calls = parts.map((part) => ({ caller: name, action, resource: `${sealed}/${part}` }))
        const allowed = calls.filter((call) => allowing(granted(role), call) !== undefined)
        expect(allowed, `${name} ${action}`).toHaveLength(name === 'prune' ? parts.length : 0)
      }
    }
  })

  test.each(parts.filter((part) => /^(manifest|late|database|cache|files\.)/.test(part)))(
    'to write over %s to all',
    (part) => {
      const writing = { action: 's3:PutObject', resource: `${sealed}/${part}` }
      expect(who({ ...writing, context: writesOver })).toEqual([])
      expect(who({ ...writing, context: writesOnce })).not.toEqual([])
    },
  )

  test('to add late keys of the cache to all but those that wipe or replace them, and other parts to those', () => {
    const context = writesOnce
    const late = `${sealed}/cache/late-1/00000.jsonl.zst`
    expect(who({ action: 's3:PutObject', resource: late, context }).sort()).toEqual([
      'export',
      'putback',
      'wipe',
    ])
    expect(who({ action: 's3:PutObject', resource: `${sealed}/cache/00000.jsonl.zst`, context })).toEqual([
      'export',
    ])
  })

  test('to plan, to leave results, to seal and to add late files to all but the step whose work it is', () => {
    const run = `arn:aws:s3:::${backups}/.taskmaster/runs/one/0`
    const writing = (path: string) => who({ action: 's3:PutObject', resource: path, context: writesOnce })
    for (const planned of [
      'plan-0123.json',
      'lists-a/database/00000.json',
      'lists-a/files/00000.jsonl',
      'lists-a/restore-files/00000.jsonl',
    ])
      expect(writing(`${run}/${planned}`), planned).toEqual(['count'])
    const steps = ['compare', 'copy', 'export', 'putback', 'verify', 'wipe']
    expect(writing(`${run}/results/files-00000.json`).sort()).toEqual(steps)
    expect(writing(`${sealed}/manifest.json`)).toEqual(['seal'])
    expect(writing(`${sealed}/late-1.json`).sort()).toEqual(['putback', 'restore', 'wipe'])
  })

  test('to write over a plan, a list or a result that counts to all, whoever of them may leave one', () => {
    const run = `arn:aws:s3:::${backups}/.taskmaster/runs/one/0`
    const results = [
      ...['database-00000.json', 'files-00000.json', 'copied-00000.jsonl', 'cache.json', 'reconciled.json'],
      ...['rehearsed.json', 'wiped-files-00000.json', 'wiped-cache.json', 'restored-files-00000.json'],
      ...['restored-cache.json', 'cache-shift.json', 'verified.json', 'compared.json'],
    ]
    const planned = ['plan-0123.json', 'lists-a/database/00000.json', 'lists-a/files/00000.jsonl']
    for (const work of [...results.map((result) => `results/${result}`), ...planned]) {
      const writing = { action: 's3:PutObject', resource: `${run}/${work}` }
      expect(who({ ...writing, context: writesOver }), work).toEqual([])
      expect(who({ ...writing, context: writesOnce }), work).not.toEqual([])
    }
    // What was left undone is written again by the next try.
    const again = { action: 's3:PutObject', resource: `${run}/results/wiped-files-00000.unfinished.json` }
    expect(who({ ...again, context: writesOver })).toContain('wipe')
  })

  test('everything of a backup and of the work of runs to a principal of the account that is none of theirs', () => {
    const anybody = { Effect: 'Allow' as const, Action: 's3:*', Resource: '*' }
    const administrator = {
      ...(functions[0] as Deployed).role,
      ...{ arn: 'arn:aws:iam::000000000000:role/Administrator', statements: [anybody] },
    }
    const mayThey = (action: string, resource: string, context: Record<string, string> = writesOnce) =>
      allowing(administrator, { caller: 'administrator', action, resource, context }) !== undefined
    for (const part of parts) {
      expect(mayThey('s3:DeleteObject', `${sealed}/${part}`), part).toBe(false)
      expect(mayThey('s3:DeleteObjectVersion', `${sealed}/${part}`), part).toBe(false)
      expect(mayThey('s3:GetObject', `${sealed}/${part}`), part).toBe(true)
    }
    const run = `arn:aws:s3:::${backups}/.taskmaster/runs/one/0`
    for (const written of [
      ...[`${sealed}/manifest.json`, `${sealed}/late-1.json`],
      ...[`${run}/plan-0123.json`, `${run}/lists-a/files/00000.jsonl`, `${run}/results/cache.json`],
    ])
      expect(mayThey('s3:PutObject', written), written).toBe(false)
    // Without TLS nobody reaches either bucket, nor anything in them.
    for (const bucket of [files, backups]) {
      for (const resource of [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/some/object`]) {
        const action = resource.endsWith('object') ? 's3:GetObject' : 's3:ListBucket'
        expect(mayThey(action, resource, { 'aws:SecureTransport': 'false' }), resource).toBe(false)
        expect(mayThey(action, resource, {}), resource).toBe(true)
      }
    }
  })

  test('to change or delete files to all but those that copy them back or wipe them', () => {
    expect(who({ action: 's3:DeleteObject', resource: file }).sort()).toEqual(['putback', 'wipe'])
    expect(who({ action: 's3:PutObject', resource: file, context: writesOver })).toEqual(['putback'])
    expect(who({ action: 's3:GetObject', resource: file }).sort()).toEqual(['copy', 'putback', 'wipe'])
  })

  test('to read, change or delete what lies beside the folder of the files in their bucket to all', () => {
    for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:GetObjectTagging'])
      for (const other of ['other/story.txt', 'generated_stories2/story.txt', 'story.txt'])
        expect(
          who({ action, resource: `arn:aws:s3:::${files}/${other}`, context: writesOnce }),
          `${action} ${other}`,
        ).toEqual([])
  })

  test('to write the manifest to all but seal, and the mark of the environment to all but count', () => {
    const manifest = `${sealed}/manifest.json`
    expect(who({ action: 's3:PutObject', resource: manifest, context: writesOnce })).toEqual(['seal'])
    const mark = `arn:aws:s3:::${files}/.taskmaster/environment.json`
    expect(who({ action: 's3:PutObject', resource: mark, context: writesOnce })).toEqual(['count'])
    expect(who({ action: 's3:DeleteObject', resource: mark })).toEqual([])
  })

  test('to make an object below the backups to count, which may only try to', () => {
    const resource = `${sealed}/.probe`
    expect(may({ caller: 'count', action: 's3:PutObject', resource, context: writesOnce })).toBe(false)
  })

  test('to start and stop runs, and to read who may call, to all but the API', () => {
    const execution = `${machine.replace('stateMachine', 'execution')}:run`
    expect(who({ action: 'states:StartExecution', resource: machine })).toEqual(['api'])
    expect(who({ action: 'states:StopExecution', resource: execution })).toEqual(['api'])
    const folder = 'arn:aws:ssm:us-east-1:000000000000:parameter/taskmaster-reset'
    const reads = (path: string) => who({ action: 'ssm:GetParameter', resource: `${folder}/${path}` })
    expect(reads('local/api-tokens')).toEqual(['api'])
    expect(reads('local/hooks').sort()).toEqual(['hooks', 'notify'])
    expect(reads('local/notices')).toEqual(['notify'])
    expect(who({ action: 'sns:Publish', resource: 'AWS::SNS::Topic:Alarms' })).toEqual(['notify'])
    for (const action of ['sns:Publish', 'lambda:InvokeFunction'])
      expect(who({ action, resource: 'arn:aws:sns:us-east-1:000000000000:other' })).toEqual([])
    expect(reads('other/database-url')).toEqual([])
  })

  test('what comes without TLS to all', () => {
    const context = { 'aws:SecureTransport': 'false' }
    expect(who({ action: 's3:GetObject', resource: `${sealed}/manifest.json`, context })).toEqual([])
  })

  test('what changes who may do what to all', () => {
    for (const action of [
      's3:PutBucketPolicy',
      's3:PutLifecycleConfiguration',
      's3:BypassGovernanceRetention',
    ])
      expect(who({ action, resource: `arn:aws:s3:::${backups}` })).toEqual([])
    expect(who({ action: 'iam:PassRole', resource: '*' })).toEqual([])
  })
})

describe('the built functions, with the variables and the permissions of the template', () => {
  const token = 'a-token-of-the-test'
  const tokens = [
    {
      name: 'test',
      sha256: createHash('sha256').update(token).digest('hex'),
      scopes: ['read', 'backup', 'reset', 'restore', 'delete'],
    },
  ]
  let deployed: Awaited<ReturnType<typeof startDeployed>>
  let client: SFNClient
  const record = useRecorder()
  let http: Awaited<ReturnType<typeof startHttpFront>>
  let beforeTask = async (_state: string): Promise<void> => {}

  beforeAll(async () => {
    deployed = await startDeployed(template, {
      settings: (env) => ({
        '/taskmaster-reset/local/database-url': env.DATABASE_URL ?? '',
        '/taskmaster-reset/local/cache-url': env.UPSTASH_REDIS_REST_URL ?? '',
        '/taskmaster-reset/local/cache-token': env.UPSTASH_REDIS_REST_TOKEN ?? '',
        '/taskmaster-reset/local/signing-keys': env.SIGNING_KEYS ?? '',
        '/taskmaster-reset/local/api-tokens': JSON.stringify(tokens),
        '/taskmaster-reset/local/hooks': JSON.stringify([
          { name: 'on', moment: 'before', function: hookFunctions[0] },
          { name: 'off', moment: 'after', when: 'always', function: hookFunctions[1] },
        ]),
        '/taskmaster-reset/local/notices': JSON.stringify([
          { name: 'mail', kind: 'sns', topic: 'arn:aws:sns:us-east-1:000000000000:Alarms', on: ['failed'] },
        ]),
      }),
      beforeTask: (state) => beforeTask(state),
    })
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
    const endpoint = deployed.stack.env.AWS_ENDPOINT_URL_SFN ?? ''
    client = new SFNClient({ endpoint, region: 'us-east-1', credentials })
    http = await startHttpFront(record(deployed.invoke.api as HttpHandler).handler)
  })
  afterAll(async () => {
    client?.destroy()
    await http?.stop()
    await deployed?.stop()
  })

  async function end(executionArn: string | undefined) {
    const described = await endOfExecution(client, deployed.stack.machine, executionArn)
    if (described.status !== 'SUCCEEDED') throw new Error(`${described.error}: ${described.cause}`)
    return JSON.parse(described.output ?? '{}')
  }
  async function run(request: object) {
    const stateMachineArn = deployed.stack.env.STATE_MACHINE_ARN
    const start = new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(request) })
    return end((await client.send(start)).executionArn)
  }
  async function ask(method: string, path: string, body?: object, key?: string) {
    const answer = await fetch(`${http.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...(key !== undefined && { 'idempotency-key': key }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    expect(answer.ok, `${method} ${path}: ${answer.status} ${text}`).toBe(true)
    return answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text
  }
  async function endOf(runId: string) {
    return end(`${deployed.stack.env.STATE_MACHINE_ARN?.replace('stateMachine', 'execution')}:${runId}`)
  }
  const put = (name: string) =>
    deployed.stack.s3.send(
      new PutObjectCommand({ Bucket: files, Key: `generated_stories/${name}`, Body: name }),
    )
  const rows = async () => (await deployed.stack.sql.query('SELECT * FROM users ORDER BY id')).rows

  test.runIf(isFull)(
    `reset, restore, verify, diff, prune and delete, by the state machine and by the API ${inFullForm}`,
    async () => {
      const { stack } = deployed
      await stack.sql.query(`CREATE TABLE users (id serial PRIMARY KEY, name text);
      INSERT INTO users (name) SELECT 'user ' || i FROM generate_series(1, 20) i`)
      for (const name of ['one.txt', 'two.txt', 'pinned.json']) await put(name)
      await stack.redis.set('taskmaster:page:1', 'first')
      await run({ operation: 'claim', confirm: 'local' })
      // What comes late has to be added to the backup.
      beforeTask = async (state) => {
        if (/^(Wipe|Restore) database$/.test(state))
          await stack.sql.query(`INSERT INTO users (name) VALUES ('late')`)
        if (state === 'Restore cache') await stack.redis.set('taskmaster:late', 'late')
        if (state === 'Restore cache') await stack.redis.set('taskmaster:page:1', 'late')
      }
      const reset = await run({ operation: 'reset', strategy: 'full', confirm: 'local', rehearse: true })
      expect(reset.status).toBe('succeeded')
      expect(await rows()).toEqual([])
      await put('came-later.txt')
      const { runId } = await ask('POST', '/v1/runs', {
        operation: 'restore',
        backupId: reset.backupId,
        confirm: 'local',
        exact: true,
      })
      const restored = await endOf(runId)
      beforeTask = async () => {}
      expect(restored.targets.files).toMatchObject({ state: 'restored', objects: 3 })
      expect(await rows()).toHaveLength(21)
      await run({ operation: 'verify', backupId: reset.backupId, rehearse: true })
      const { runId: told } = await run({
        operation: 'diff',
        backupId: reset.backupId,
        rows: { table: 'users' },
      })
      expect(await ask('GET', `/v1/runs/${told}/rows`)).toMatchObject({ name: 'public.users', before: 21 })

      expect(await ask('GET', '/')).toContain('<!doctype html>')
      for (const path of ['/v1/session', '/v1/options', '/v1/runs', `/v1/runs/${runId}`])
        await ask('GET', path)
      // What the build leaves out of the bundle it lays beside it.
      const sources = makeApp({ clients: () => Promise.reject(), pageFolders: [], documents: [] })
      const document = await (await sources.request('/v1/openapi.json')).json()
      expect(await ask('GET', '/v1/openapi.json')).toEqual(document)
      expect(await ask('GET', '/problems/RunActive')).toContain('<h1>RunActive</h1>')
      expect((await ask('GET', '/v1/backups')).backups).toHaveLength(2)
      await ask('GET', `/v1/backups/${reset.backupId}`)
      const { url } = await ask('GET', `/v1/backups/${reset.backupId}/parts/manifest.json`)
      expect(await (await fetch(url)).json()).toMatchObject({ backupId: reset.backupId })
      await ask('PUT', `/v1/backups/${reset.backupId}/pin`, { pinned: true })
      await ask('PUT', `/v1/backups/${reset.backupId}/pin`, { pinned: false })

      await run({ operation: 'backup', rehearse: true })
      const deletion = await ask('DELETE', `/v1/backups/${reset.backupId}`, { confirm: 'local' })
      await endOf(deletion.runId)
      const left = (await ask('GET', '/v1/backups')).backups as { backupId: string }[]
      expect(left.map(({ backupId }) => backupId)).not.toContain(reset.backupId)
    },
  )

  test.runIf(isFull)(`a cancelled run, and the event that its execution ended ${inFullForm}`, async () => {
    beforeTask = async (state) => {
      if (state === 'Seal') await ask('POST', `/v1/runs/${await started.promise}/cancel`)
    }
    const started = Promise.withResolvers<string>()
    const { runId } = await ask(
      'POST',
      '/v1/runs',
      { operation: 'reset', strategy: 'cache-only', confirm: 'local', rehearse: false },
      'once',
    )
    started.resolve(runId)
    await expect(endOf(runId)).rejects.toThrow('Cancelled')
    const event = {
      'detail-type': 'Step Functions Execution Status Change',
      detail: {
        executionArn: 'arn',
        stateMachineArn: propertiesOf('Schedule').Target.Arn,
        name: runId,
        status: 'ABORTED',
      },
    }
    await deployed.invoke.ended?.(event, {} as never)
    expect((await ask('GET', `/v1/runs/${runId}`)).status).toBe('cancelled')
    await deployed.invoke.notify?.(event, {} as never)
    const invoked = deployed.uses.filter(({ action }) => action === 'lambda:InvokeFunction')
    const published = deployed.uses.filter(({ action }) => action === 'sns:Publish')
    expect(published.map(({ caller, by }) => [caller, by !== undefined])).toEqual([['notify', true]])
    const metrics = deployed.logged().filter(({ message }) => message === 'metrics')
    for (const { _aws, ...values } of metrics as Embedded[])
      for (const { Namespace, Metrics, Dimensions } of _aws.CloudWatchMetrics) {
        expect(Namespace).toBe('taskmaster-reset-local')
        expect(Dimensions).toHaveLength(1)
        for (const name of Dimensions[0] ?? []) expect(values[name], name).toEqual(expect.any(String))
        for (const { Name } of Metrics) expect(values[Name], Name).toEqual(expect.any(Number))
      }
    const names = (metrics as Embedded[]).flatMap(({ _aws }) => _aws.CloudWatchMetrics[0]?.Metrics ?? [])
    expect(new Set(names.map(({ Name }) => Name))).toEqual(
      new Set(['Runs', 'Duration', 'StepDuration', 'ProvedBackupAge']),
    )
    expect(invoked.slice(-2).map(({ caller, resource }) => [caller, resource])).toEqual([
      ['hooks', hookFunctions[0]],
      ['notify', hookFunctions[1]],
    ])
  })

  test.runIf(isFull)(`used no permission that they do not have ${inFullForm}`, () => {
    expect(deployed.uses.filter(({ by }) => by === undefined)).toEqual([])
    expect(new Set(deployed.uses.map(({ caller }) => caller))).toEqual(
      new Set(functions.map(({ name }) => name)),
    )
  })

  test.runIf(isFull)(`used every permission that they have, or there is a reason ${inFullForm}`, () => {
    const used = new Set(deployed.uses.map(({ by, action }) => JSON.stringify([by, action])))
    const unused = functions.flatMap(({ name, role }) =>
      role.statements
        .filter(({ Effect }) => Effect === 'Allow')
        .flatMap((statement) => [statement.Action].flat().map((action) => ({ statement, action })))
        .filter(({ statement, action }) => !used.has(JSON.stringify([statement, action])))
        .map(({ action }) => `${name} ${action}`),
    )
    const expected = unusedForAReason.flatMap(({ functions: of, actions }) =>
      (of === 'all' ? functions.map(({ name }) => name) : of).flatMap((name) =>
        actions.map((action) => `${name} ${action}`),
      ),
    )
    expect([...new Set(unused)].sort()).toEqual(expected.sort())
  })

  test.runIf(isFull)(
    `log what the alarm for missing backups counts: runs that sealed one ${inFullForm}`,
    () => {
      const pattern: string = propertiesOf('SealedBackups').FilterPattern
      expect(pattern).toBe('{ $.message = "run ended" && $.status = "succeeded*" && $.backupId = "*-*" }')
      const counted = deployed
        .logged()
        .filter(
          ({ message, status, backupId }) =>
            message === 'run ended' && `${status}`.startsWith('succeeded') && `${backupId}`.includes('-'),
        )
      expect(counted.map(({ operation }) => operation)).toEqual(['reset', 'restore', 'backup'])
    },
  )
})
