/** Which services come from the environment, and which are embedded. Decided before anything is started. */
export type StackPlan = {
  database: { embedded: true } | { embedded: false; url: string; proxy: boolean }
  cache:
    | { embedded: true }
    | { embedded: false; redisUrl: string }
    | { embedded: false; restUrl: string; token: string }
  files: { embedded: true } | { embedded: false; endpoint: string | undefined }
  machine: { embedded: true } | { embedded: false; arn: string }
}

/**
 * The embedded S3 was asked to hold the files and the backups of a database or cache that outlives it: a reset would
 * wipe what lasts, and the only backup of it would be gone with the process.
 */
export class EmbeddedFilesRefused extends Error {
  override readonly name = 'EmbeddedFilesRefused'
  readonly given: string[]
  constructor(given: string[]) {
    super(
      `The embedded S3 keeps everything in memory and forgets it when it stops, but ${given.join(' and ')} would go on ` +
        'existing, without a backup. Give a lasting S3 as well (AWS_ENDPOINT_URL_S3; or AWS credentials together with ' +
        `FILES_BUCKET and BACKUP_BUCKET), or unset ${given.join(' and ')} to use the embedded services for all of it.`,
    )
    this.given = given
  }
}

const CREDENTIALS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
]

/** An empty variable counts as not given, as in a .env file with a line left open. */
export function planStack(environment: NodeJS.ProcessEnv): StackPlan {
  const plan: StackPlan = {
    database: planDatabase(environment),
    cache: planCache(environment),
    files: planFiles(environment),
    machine: environment.STATE_MACHINE_ARN
      ? { embedded: false, arn: environment.STATE_MACHINE_ARN }
      : { embedded: true },
  }
  if (plan.files.embedded) {
    const given = [
      ...(plan.database.embedded ? [] : ['DATABASE_URL']),
      ...(plan.cache.embedded ? [] : ['redisUrl' in plan.cache ? 'REDIS_URL' : 'UPSTASH_REDIS_REST_URL']),
    ]
    if (given.length > 0) throw new EmbeddedFilesRefused(given)
  }
  return plan
}

function planDatabase(environment: NodeJS.ProcessEnv): StackPlan['database'] {
  const url = environment.DATABASE_URL
  if (!url) return { embedded: true }
  if (url.startsWith('ssm:')) return { embedded: false, url, proxy: false } // Its value is fetched later, by the product.
  const { hostname, protocol } = parseUrl('DATABASE_URL', url)
  if (!/^postgres(ql)?:$/.test(protocol)) {
    throw new Error(`DATABASE_URL must begin with postgres:// or postgresql://, not ${protocol}//.`)
  }
  const onNeon = hostname === 'neon.tech' || hostname.endsWith('.neon.tech')
  return { embedded: false, url, proxy: !onNeon && !environment.DATABASE_WEBSOCKET_PROXY }
}

function planCache(environment: NodeJS.ProcessEnv): StackPlan['cache'] {
  const {
    UPSTASH_REDIS_REST_URL: restUrl,
    UPSTASH_REDIS_REST_TOKEN: token,
    REDIS_URL: redisUrl,
  } = environment
  if (restUrl && token) return { embedded: false, restUrl, token }
  if (restUrl || token) {
    const [there, missing] = restUrl ? ['URL', 'TOKEN'] : ['TOKEN', 'URL']
    throw new Error(
      `UPSTASH_REDIS_REST_${there} is set, but UPSTASH_REDIS_REST_${missing} is not: set both or neither.`,
    )
  }
  if (!redisUrl) return { embedded: true }
  parseUrl('REDIS_URL', redisUrl)
  return { embedded: false, redisUrl }
}

function planFiles(environment: NodeJS.ProcessEnv): StackPlan['files'] {
  const endpoint = environment.AWS_ENDPOINT_URL_S3
  const onAws =
    CREDENTIALS.some((name) => environment[name]) && environment.FILES_BUCKET && environment.BACKUP_BUCKET
  return endpoint || onAws ? { embedded: false, endpoint: endpoint || undefined } : { embedded: true }
}

/** The value may hold a password, so it must not come up in the message. */
function parseUrl(name: string, value: string): URL {
  if (URL.canParse(value)) return new URL(value)
  throw new Error(
    `${name} is no URL; it should look like postgres://user:password@host:5432/name or redis://host:6379.`,
  )
}
