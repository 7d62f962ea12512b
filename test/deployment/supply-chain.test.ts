import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8')
const json = (path: string) => JSON.parse(read(path))

describe('what comes from elsewhere', () => {
  test('every action of a workflow is pinned by its commit, with its version beside it', () => {
    const workflows = globSync('.github/workflows/*.yml', { cwd: root })
    expect(workflows).toHaveLength(2)
    const uses = workflows.flatMap((path) => read(path).match(/uses: .*/g) ?? [])
    expect(uses.length).toBeGreaterThan(4)
    for (const line of uses) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
    expect(new Set(uses).size).toBe(new Set(uses.map((line) => line.split('@')[0])).size) // one version of each
  })

  test('every package that is installed, and every action, is looked up for updates each week', () => {
    const locks = globSync(['package-lock.json', '.ci/**/package-lock.json'], {
      cwd: root,
      exclude: (path) => path.includes('node_modules'), // a pattern would not see into a folder that begins with a dot
    })
    expect(locks).toContain('package-lock.json')
    const folders = locks.map((path) => `/${path.replace(/\/?package-lock\.json$/, '')}`)
    const entries = read('.github/dependabot.yml').split('  - package-ecosystem: ').slice(1)
    const updated = entries.map((entry) => [
      /^[\w-]+/.exec(entry)?.[0],
      /directory: (\S+)/.exec(entry)?.[1],
      /interval: (\w+)/.exec(entry)?.[1],
    ])
    expect(updated.sort()).toEqual(
      [...folders.map((folder) => ['npm', folder, 'weekly']), ['github-actions', '/', 'weekly']].sort(),
    )
  })

  test('no workflow has more rights than to read, and only the deployment may ask for a token of its own', () => {
    for (const path of globSync('.github/workflows/*.yml', { cwd: root })) {
      expect(read(path), path).toMatch(/\npermissions:\n {2}contents: read\n[a-z]/)
      const more = [...read(path).matchAll(/^ +([\w-]+): write/gm)].map(([, right]) => right)
      expect(more, path).toEqual(path.endsWith('deploy.yml') ? ['id-token'] : [])
      expect(read(path), path).not.toContain('secrets.')
      // What somebody typed is given to a script as a variable, never as a part of it.
      for (const line of read(path).match(/run: .*/g) ?? []) expect(line, path).not.toContain('{{')
    }
  })

  test('the list of what it is made of holds every package that is deployed, and marks what is not', async () => {
    const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'sbom'], {
      cwd: root,
      maxBuffer: 2 ** 24,
    })
    type Component = { name: string; version: string; properties?: { name: string }[] }
    const { components, bomFormat }: { components: Component[]; bomFormat: string } = JSON.parse(stdout)
    expect(bomFormat).toBe('CycloneDX')
    const deployed = components
      .filter(({ properties = [] }) => !properties.some(({ name }) => name === 'cdx:npm:package:development'))
      .map(({ name, version }) => `${name}@${version}`)
    const { packages } = json('package-lock.json')
    for (const name of Object.keys(json('package.json').dependencies))
      expect(deployed).toContain(`${name}@${packages[`node_modules/${name}`].version}`)
    for (const name of ['vitest', 'typescript', 'fauxqs'])
      expect(deployed.filter((one) => one.startsWith(`${name}@`))).toEqual([])
  })
})

describe('a deployment from GitHub', () => {
  type Bound = string | { [name: string]: unknown }
  type Statement = {
    Effect: string
    Action: string | string[]
    Resource: Bound | Bound[]
    Condition?: object
  }
  const { Resources, Outputs } = json('infra/deployment-role.json')
  const statementsOf = (id: string): Statement[] =>
    [Resources[id].Properties.PolicyDocument ?? Resources[id].Properties.Policies[0].PolicyDocument].flatMap(
      ({ Statement }) => Statement,
    )

  test('is trusted only from one repository and the environment of the stage', () => {
    const [{ Action, Condition }] = Resources.DeployRole.Properties.AssumeRolePolicyDocument.Statement
    expect(Action).toBe('sts:AssumeRoleWithWebIdentity')
    expect(Condition).toEqual({
      StringEquals: {
        'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's
        'token.actions.githubusercontent.com:sub': { 'Fn::Sub': 'repo:${Repository}:environment:${Stage}' },
      },
    })
  })

  test('gives the ARN of each of its two roles under the name of the variable that it goes into', () => {
    for (const [name, variable] of [
      ['DeployRole', 'AWS_DEPLOY_ROLE'],
      ['ResourcesRole', 'AWS_RESOURCES_ROLE'],
    ] as const) {
      const { Description, Value } = Outputs[`${name}Arn`]
      expect(Description).toContain(`variable ${variable}`)
      expect(Value).toEqual({ 'Fn::GetAtt': [name, 'Arn'] })
    }
  })

  test('has a role that touches no resource, and hands on one that touches those of the stage alone', () => {
    const own = statementsOf('DeployRole').flatMap(({ Action }) => Action)
    expect(own.filter((action) => /^(iam|kms|states|sns|sqs|events|logs):/.test(action))).toEqual([
      'iam:PassRole',
    ])
    // What AWS lets nobody restrict by name: descriptions, the delivery of logs, subscriptions; keys are bound by their tags.
    const everything = ['StoresPolicy', 'ServicesPolicy']
      .flatMap(statementsOf)
      .filter(({ Resource, Condition }) => Resource === '*' && Condition === undefined)
      .flatMap(({ Action }) => Action)
    for (const action of everything)
      expect(action).toMatch(
        /^(states:Validate|logs:\w+(Deliver|Describe|Resource)|logs:Describe|cloudwatch:Describe|sns:)/,
      )
  })

  test('has a role that is bound to its stage wherever AWS can bind it, and no action of a service as a whole', () => {
    const statements = ['StoresPolicy', 'ServicesPolicy'].flatMap(statementsOf) as (Statement & {
      Sid: string
    })[]
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: CloudFormation's
    const bounds = statements.flatMap(({ Sid, Resource }) =>
      [Resource].flat().map((one) => `${Sid}: ${typeof one === 'string' ? one : one['Fn::Sub']}`),
    )
    const gateway = 'arn:${AWS::Partition}:apigateway:${AWS::Region}::'
    expect(bounds.filter((bound) => !bound.includes('${Stage}'))).toEqual([
      'NewKeys: *',
      'OwnKeys: arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*',
      'Definition: *',
      ...[`Api: ${gateway}/apis`, `Api: ${gateway}/apis/*`, `Api: ${gateway}/tags/*`],
      ...['LogDelivery: *', 'AlarmsAreFound: *', 'Subscriptions: *'],
    ])
    const attached = statements.find(({ Sid }) => Sid === 'RolesGetOnlyOwnPolicies')
    expect(attached?.Condition).toEqual({
      ArnLike: {
        'iam:PolicyARN': {
          'Fn::Sub': 'arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/taskmaster-reset-${Stage}-*',
        },
      },
    })
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: CloudFormation's
    const families = statements.flatMap(({ Action }) => Action).filter((action) => action.includes('*'))
    expect(families.sort()).toEqual([
      ...['lambda:GetFunction*', 'lambda:UpdateFunction*', 's3:GetBucket*', 's3:PutBucket*'],
    ])
  })

  test('hands its template to the stack of its stage, and the other role to CloudFormation alone', () => {
    const statements = statementsOf('DeployRole') as (Statement & { Sid: string })[]
    const named = Object.fromEntries(statements.map((statement) => [statement.Sid, statement]))
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: CloudFormation's
    const stack =
      'arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/taskmaster-reset-${Stage}/*'
    expect(named.HandOverTheTemplate?.Resource).toEqual({ 'Fn::Sub': stack })
    for (const { Sid, Resource } of statements)
      if (Sid !== 'CheckTheTemplate' && Sid !== 'PassTheOtherRoleOn')
        expect(JSON.stringify(Resource), Sid).toContain('${Stage}')
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: CloudFormation's
    expect(named.PassTheOtherRoleOn).toMatchObject({
      Resource: { 'Fn::GetAtt': ['ResourcesRole', 'Arn'] },
      Condition: { StringEquals: { 'iam:PassedToService': 'cloudformation.amazonaws.com' } },
    })
    expect(Resources.DeployRole.Properties.MaxSessionDuration).toBe(3600)
    const [taker] = Resources.ResourcesRole.Properties.AssumeRolePolicyDocument.Statement
    expect(taker).toEqual({
      ...{ Effect: 'Allow', Action: 'sts:AssumeRole' },
      Principal: { Service: 'cloudformation.amazonaws.com' },
      Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
    })
    expect(Resources.Provider.Properties).toEqual({
      Url: 'https://token.actions.githubusercontent.com',
      ClientIdList: ['sts.amazonaws.com'],
    })
  })

  test('can read and delete no object of files and backups', () => {
    for (const { Action, Resource } of statementsOf('StoresPolicy')) {
      const objects = [Action]
        .flat()
        .filter((action) => /^s3:(\*|(Get|Put|Delete|List|Restore|Replicate)Object|Bypass)/.test(action))
      for (const bound of objects.length > 0 ? [Resource].flat() : [])
        expect(JSON.stringify(bound)).toContain('serverlessdeployment')
      expect([Action].flat()).not.toContain('s3:*')
    }
  })
})
