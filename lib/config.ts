import type { Token } from './config/values.ts'
import { type Config, type Name, ownFolder, type Variable, variables } from './config/variables.ts'
import { InvalidConfiguration, messageOf, StoreUnavailable } from './errors.ts'

/**
 * Reads the process's environment. A value `ssm:/path` is replaced by what `fetchParameter` returns for `/path`.
 * @throws InvalidConfiguration naming every variable that is missing or wrong
 */
export async function readConfig(fetchParameter: (path: string) => Promise<string>): Promise<Config> {
  const given = await resolveParameters(process.env, fetchParameter)
  const parsed: Partial<Record<Name, unknown>> = {}
  const problems: string[] = []
  for (const [key, { schema, is, example }] of Object.entries(variables) as [Name, Variable][]) {
    const result = schema.safeParse(given[key])
    if (result.success) parsed[key] = result.data
    else {
      const found =
        given[key] === undefined ? 'is missing' : result.error.issues.map((issue) => issue.message).join('; ')
      problems.push(`${key} ${found}. It should be ${is}, for example ${example}`)
    }
  }
  if (problems.length > 0) throw new InvalidConfiguration(problems.join('\n'))
  const config = parsed as Config
  config.PROTECTED ??= config.ENVIRONMENT.startsWith('prod')
  config.HOOKS_ON ??= config.HOOKS.length > 0
  refuseOverlap(config)
  return config
}

/** The variables as they are set, as one text: equal when nothing was changed. */
export function environmentOf(): string {
  return JSON.stringify(Object.keys(variables).map((key) => process.env[key]))
}

/**
 * The backups would otherwise be copied into the next backup, and wiped with the files; and what expires the work of
 * finished runs would take backups along. The environment's mark lies in the files bucket, in the same folder.
 */
function refuseOverlap(config: Config): void {
  const { FILES_BUCKET, FILES_PREFIX, BACKUP_BUCKET, BACKUP_PREFIX } = config
  const overlap = (one: string, other: string) => one.startsWith(other) || other.startsWith(one)
  const taken = FILES_BUCKET === BACKUP_BUCKET ? [ownFolder, BACKUP_PREFIX] : [ownFolder]
  for (const folder of taken) {
    if (!overlap(FILES_PREFIX, folder)) continue
    throw new InvalidConfiguration(
      `FILES_PREFIX ${FILES_PREFIX} and ${folder} overlap in bucket ${FILES_BUCKET}: what lies there would be copied and wiped as files. Give the files or the backups another prefix or bucket, for example FILES_PREFIX=${variables.FILES_PREFIX.example}`,
    )
  }
  if (!BACKUP_PREFIX.startsWith(`${ownFolder}runs/`)) return
  throw new InvalidConfiguration(
    `BACKUP_PREFIX ${BACKUP_PREFIX} is in the folder of the runs' work, which expires. Give the backups another one, for example BACKUP_PREFIX=${variables.BACKUP_PREFIX.example}`,
  )
}

async function resolveParameters(
  environment: NodeJS.ProcessEnv,
  fetchParameter: (path: string) => Promise<string>,
): Promise<NodeJS.ProcessEnv> {
  const resolved: NodeJS.ProcessEnv = {}
  for (const key of Object.keys(variables)) {
    const value = await resolveParameter(key, environment[key], fetchParameter)
    if (value !== undefined) resolved[key] = value
  }
  return resolved
}

async function resolveParameter(
  key: string,
  value: string | undefined,
  fetchParameter: (path: string) => Promise<string>,
): Promise<string | undefined> {
  // An empty value is how a shell or a template says "not set".
  if (!value?.startsWith('ssm:')) return value === '' ? undefined : value
  const path = value.slice('ssm:'.length)
  return fetchParameter(path).catch((cause: unknown) => {
    if (cause instanceof StoreUnavailable) throw cause
    const reason = `${key} names the SSM parameter ${path}, which could not be read: ${messageOf(cause)}`
    throw new InvalidConfiguration(`${reason}. Create it as a SecureString, or give the value itself`, {
      cause,
    })
  })
}

/**
 * API_TOKENS alone: the list changes while a function lives.
 * @throws InvalidConfiguration when it is wrong, or not there; what fetchParameter throws
 */
export async function readTokens(fetchParameter: (path: string) => Promise<string>): Promise<Token[]> {
  const value = await resolveParameter('API_TOKENS', process.env.API_TOKENS, fetchParameter)
  const parsed = variables.API_TOKENS.schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new InvalidConfiguration(
    `API_TOKENS ${parsed.error.issues.map(({ message }) => message).join('; ')}. It should be ${variables.API_TOKENS.is}`,
  )
}
