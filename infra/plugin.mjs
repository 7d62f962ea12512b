// What serverless.yml cannot say by itself, as a plugin of the framework (`plugins` there): names are checked before anything
// is made, logs stay, and a run keeps its code. Plain JavaScript, because the framework's own Node loads it.
import { makeSchedules, readSchedules } from './schedules.mjs'

/** The longest name that AWS takes, by the type of the resource. */
const longest = {
  'AWS::S3::Bucket': ['BucketName', 63],
  'AWS::Lambda::Function': ['FunctionName', 64],
  'AWS::IAM::Role': ['RoleName', 64],
  'AWS::StepFunctions::StateMachine': ['StateMachineName', 80],
  'AWS::CloudWatch::Dashboard': ['DashboardName', 255],
}

export default class Deployment {
  constructor(serverless, _options, { log } = {}) {
    this.serverless = serverless
    this.log = log
    this.hooks = {
      'before:package:cleanup': async () => {
        this.checkStage()
        this.noteSettings()
        this.checkKeys()
        await this.noteSchedules()
      },
      'after:aws:package:finalize:mergeCustomProviderResources': () => {
        const template = serverless.service.provider.compiledCloudFormationTemplate
        this.makeSchedules(template)
        settleConditions(template)
        this.checkNames(template)
        keepLogs(template, serverless.service.custom.adoptsExisting === true)
        useVersions(template)
      },
    }
  }

  /** @throws when a name that is made of the stage would be refused by AWS, half-way through a deployment */
  checkStage() {
    const { stage } = this.serverless.service.provider
    if (/^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(stage)) return
    const better = stage
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^[^a-z]+|-+$/g, '')
    throw this.refusal(
      `The stage "${stage}" cannot be deployed: buckets and roles are named after it, so it may hold only a-z, 0-9 and "-", begins with a letter and does not end in "-". ${better === '' ? 'Use another name' : `Use --stage ${better}`}`,
    )
  }

  /**
   * A function that is warm knows the settings as they were. Its description is part of what a version is made of, so another
   * revision publishes versions that nobody has called yet; the same code deployed again would not.
   * @see docs/decisions.md#settings-have-a-revision
   */
  noteSettings() {
    const { functions, custom, provider } = this.serverless.service
    // Count asks whether there are hooks, and is not told what they are: they hold secrets.
    provider.environment.HOOKS_ON = String(custom.hooks !== '')
    for (const each of Object.values(functions))
      each.description ??= `Settings, revision ${custom.settingsRevision}`
  }

  /** @throws when one has a name that another resource has */
  makeSchedules(template) {
    try {
      makeSchedules(template, this.schedules, this.environment)
    } catch (error) {
      throw this.refusal(error.message)
    }
  }

  /** @throws when one of them could not be carried out */
  async noteSchedules() {
    const { provider, custom } = this.serverless.service
    this.environment = provider.environment.ENVIRONMENT
    const { serviceDir: servicePath } = this.serverless
    try {
      const read = await readSchedules({ servicePath, custom, environment: this.environment })
      this.schedules = read.schedules
      for (const collision of read.collisions) this.log?.warning(collision)
    } catch (error) {
      throw this.refusal(`The stage "${provider.stage}" cannot be deployed: ${error.message}`)
    }
    provider.environment.SCHEDULES = JSON.stringify(this.schedules)
  }

  /**
   * A bucket that is there is encrypted with a key that is there. The roles would be given a new one in its place, and could
   * neither read nor write anything.
   * @throws when a key is to be made for such a bucket
   */
  checkKeys() {
    const { custom } = this.serverless.service
    for (const bucket of ['files', 'backup']) {
      if (custom[`${bucket}Key`] !== 'made') continue
      if (!custom.adoptsExisting && custom.existing[bucket] === '') continue
      throw this.refusal(
        `No key can be made for the ${bucket} bucket, which is there and has one. Say which: --param="${bucket}-kms-key-arn=arn:aws:kms:…", or --param="${bucket}-kms-key-arn=aws/s3" when it is S3's own`,
      )
    }
  }

  /** @throws when a name that is made of stage and Region is longer than AWS takes */
  checkNames({ Resources }) {
    const { region } = this.serverless.service.provider
    for (const { Type, Properties = {} } of Object.values(Resources)) {
      const [property, characters] = longest[Type] ?? []
      const name = property && textOf(Properties[property], region)
      if (name === undefined || name.length <= characters) continue
      const { stage } = this.serverless.service.provider
      const over = name.length - characters
      const room = stage.length - over
      throw this.refusal(
        `The stage "${stage}" cannot be deployed: ${Type} ${name} has ${name.length} characters, ${over} more than AWS takes. In ${region} use a stage of at most ${room} characters${Type === 'AWS::S3::Bucket' ? ', or name buckets of your own (files-bucket, backup-bucket)' : ''}`,
      )
    }
  }

  refusal(message) {
    return new this.serverless.classes.Error(message, 'TASKMASTER_STAGE_REFUSED')
  }
}

/** A name as it will be: ids of accounts have twelve digits. Undefined for what only CloudFormation knows. */
function textOf(value, region) {
  const text = typeof value === 'string' ? value : value?.['Fn::Sub']
  return typeof text === 'string'
    ? text.replaceAll(/\$\{AWS::AccountId\}/g, '0'.repeat(12)).replaceAll(/\$\{AWS::Region\}/g, region)
    : undefined
}

/**
 * The logs tell what happened to what is retained, so they are retained as well. Their names are those of the stage: who
 * deploys it again over what is still there (`adopt-existing`) makes none.
 * @see docs/decisions.md#what-is-retained-is-adopted-by-not-making-it
 */
function keepLogs({ Resources }, adopts) {
  const groups = Object.entries(Resources).filter(
    ([id, { Type }]) => Type === 'AWS::Logs::LogGroup' && id !== 'HttpApiLogGroup',
  )
  if (adopts)
    leaveOut(
      Resources,
      groups.map(([id]) => id),
    )
  else
    for (const [, group] of groups)
      Object.assign(group, { DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' })
}

/**
 * Conditions compare parameters of the framework, which are values by now: they are decided here, so that the template that
 * is looked at, checked and deployed holds what is made and nothing else.
 * @see docs/decisions.md#conditions-of-the-template-are-decided-when-it-is-packaged
 */
function settleConditions(template) {
  const { Conditions = {}, Resources, Outputs } = template
  const holds = (condition) => {
    const [[name, argument]] = Object.entries(condition)
    if (name === 'Condition') return holds(Conditions[argument])
    if (name === 'Fn::Not') return !holds(argument[0])
    if (name === 'Fn::And') return argument.every(holds)
    if (name === 'Fn::Equals') return String(argument[0]) === String(argument[1])
    throw new Error(`A condition of the template uses ${name}, which infra/plugin.mjs does not know`)
  }
  const isLeftOut = ({ Condition }) => Condition !== undefined && !holds({ Condition })
  leaveOut(
    Resources,
    Object.keys(Resources).filter((id) => isLeftOut(Resources[id])),
  )
  for (const id of Object.keys(Outputs)) if (isLeftOut(Outputs[id])) delete Outputs[id]
  for (const part of [...Object.values(Resources), ...Object.values(Outputs)]) delete part.Condition
  const settle = (value) => {
    if (Array.isArray(value)) return value.map(settle).filter((item) => item !== undefined)
    if (value === null || typeof value !== 'object') return value
    if (value.Ref === 'AWS::NoValue') return undefined
    if ('Fn::If' in value) {
      const [condition, yes, no] = value['Fn::If']
      return settle(holds({ Condition: condition }) ? yes : no)
    }
    const entries = Object.entries(value).map(([key, item]) => [key, settle(item)])
    return Object.fromEntries(entries.filter(([, item]) => item !== undefined))
  }
  for (const resource of Object.values(Resources)) resource.Properties = settle(resource.Properties)
  delete template.Conditions
}

/** Takes resources out of the template, and out of what depends on them. */
function leaveOut(Resources, ids) {
  for (const id of ids) delete Resources[id]
  for (const resource of Object.values(Resources)) {
    if (resource.DependsOn === undefined) continue
    resource.DependsOn = [resource.DependsOn].flat().filter((id) => !ids.includes(id))
  }
}

/**
 * The machine calls the versions that are published with it. An execution keeps the definition that it began with, and so
 * goes on with the code it began with, also when the stage is deployed meanwhile, or when it is redriven days later.
 * @see docs/decisions.md#a-run-keeps-its-code-by-published-versions
 */
function useVersions({ Resources }) {
  const versions = Object.entries(Resources).filter(([, { Type }]) => Type === 'AWS::Lambda::Version')
  const versionOf = new Map(versions.map(([id, { Properties }]) => [Properties.FunctionName.Ref, id]))
  const { DefinitionSubstitutions } = Resources.StateMachine.Properties
  for (const [name, value] of Object.entries(DefinitionSubstitutions)) {
    const [id] = value['Fn::GetAtt']
    const version = versionOf.get(id)
    if (version === undefined)
      throw new Error(`${id} has no published version, so ${name} would not keep its code`)
    // Of a deployment that is rolled back none may stay: as the newest one it would be all that Lambda gives when the same code
    // is deployed once more, and CloudFormation takes no version twice ("A version for this Lambda function exists").
    Resources[version].DeletionPolicy = 'RetainExceptOnCreate'
    DefinitionSubstitutions[name] = { Ref: version }
  }
}
