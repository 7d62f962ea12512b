import { S3Client } from '@aws-sdk/client-s3'
import { SFNClient } from '@aws-sdk/client-sfn'
import { GetParameterCommand, SSMClient, SSMServiceException } from '@aws-sdk/client-ssm'
import { Client } from '@neondatabase/serverless'
import type { Storage } from './backup/storage.ts'
import { type Config, readConfig, readTokens, type Token } from './config.ts'
import { messageOf, StoreUnavailable } from './errors.ts'
import { BinaryRedis } from './redis/binary-redis.ts'
import { refreshed } from './refresh.ts'
import type { SigningKey } from './signature.ts'

/** An open database connection. */
export type Connection = Client

/** What a domain function is given to work with. */
export type Clients = {
  config: Config
  /** The bucket of the generated files, FILES_BUCKET. */
  files: Storage
  /** The bucket of the backups and of the runs' work, BACKUP_BUCKET, with the keys that sign them. */
  backups: Storage & { signing: readonly SigningKey[] }
  /** Every string in an answer is a Buffer: keys and values need not be UTF-8. */
  cache: BinaryRedis
  /** Of the Region of STATE_MACHINE_ARN; only for what starts or stops runs. */
  sfn: SFNClient
  /** Opens a connection with the pinned session settings; the caller ends it. */
  connect: () => Promise<Connection>
  /** Who may use the HTTP API now: API_TOKENS, read again within a minute where it lies in SSM. */
  tokens: () => Promise<readonly Token[]>
  now: () => Date
}

/**
 * Milliseconds. A token that was taken out is refused within a minute, one that was put in is known as soon; for ten
 * minutes an outage of SSM locks nobody out, nor keeps anybody waiting for more than a second, and for no longer does it let
 * in who was taken out meanwhile.
 */
const ageOfTokens = { fresh: 45_000, usable: 600_000, pause: 5_000, patience: 1_000 }

/** The clients for the environment this process runs in. No connection is opened. */
export async function makeClients(): Promise<Clients> {
  const config = await readConfig(fetchParameter)
  const now = () => new Date()
  return {
    config,
    ...bucketsOf(config, makeS3(config)),
    cache: new BinaryRedis(config.UPSTASH_REDIS_REST_URL, config.UPSTASH_REDIS_REST_TOKEN),
    sfn: new SFNClient(regionOf(config.STATE_MACHINE_ARN)),
    connect: () => openConnection(config),
    tokens: refreshed(
      'API_TOKENS',
      { first: config.API_TOKENS, read: () => readTokens(fetchAgain), now },
      ageOfTokens,
    ),
    now,
  }
}

/**
 * Milliseconds that S3 may say nothing: longer than it takes to copy an object of 5 GiB within it, the longest that one
 * request does. Without a limit an answer that never comes would be waited for as long as the function lives.
 */
const s3SilenceMs = 120_000

/** The client for both buckets. */
export function makeS3(config: Pick<Config, 'AWS_ENDPOINT_URL_S3'>, silenceMs = s3SilenceMs): S3Client {
  const endpoint = config.AWS_ENDPOINT_URL_S3
  return new S3Client({
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    // Asked to slow down, it sends at the rate at which answers come, and finds a higher one bit by bit. In the standard mode
    // all requests that are under way go on asking, until there is no more to try with.
    retryMode: 'adaptive',
    maxAttempts: 8,
    requestHandler: {
      // The default of 50 sockets would cap the copies that are under way at once.
      httpAgent: { maxSockets: 128 },
      httpsAgent: { maxSockets: 128 },
      connectionTimeout: 10_000,
      // The first is for the head of an answer, the second also for a body that stops in the middle.
      requestTimeout: silenceMs,
      throwOnRequestTimeout: true,
      socketTimeout: silenceMs,
    },
  })
}

/** The two buckets of a configuration, which one client reaches. */
export function bucketsOf(config: Config, s3: S3Client): Pick<Clients, 'files' | 'backups'> {
  return {
    files: { s3, bucket: config.FILES_BUCKET },
    backups: { s3, bucket: config.BACKUP_BUCKET, signing: config.SIGNING_KEYS },
  }
}

function regionOf(arn: string | undefined): { region?: string } {
  const region = arn?.split(':')[3]
  return region === undefined ? {} : { region }
}

/**
 * Session settings that decide how a row is written as JSON, what a role sees, and how long a statement may wait. They
 * must be the same when a backup is written and when it is compared: a fingerprint is made of the rows' text.
 */
const sessionSettings = {
  row_security: 'off', // a role that does not see every row gets an error, not a short backup
  search_path: 'pg_catalog',
  standard_conforming_strings: 'on',
  quote_all_identifiers: 'off', // types are compared as they are written
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  array_nulls: 'on',
  xmloption: 'content',
  client_min_messages: 'warning',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0', // Neon's default ends a long export after 5 minutes
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed', // where another one is meant, BEGIN says so
  default_transaction_deferrable: 'off',
  jit: 'off', // compiling costs more than it saves on the many short statements of an export
}

/** The same for settings that only some servers have: those of version 14, 17 and later, on systems that support it. */
const newerSettings = {
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // The server would finish a long statement, locks held, for a process that was killed. Only Linux tells that for sure.
  client_connection_check_interval: '10s',
}

/** One text, so that it costs one round trip. A role or a database may set each of these otherwise. */
function settingsText(): string {
  const known = Object.entries(sessionSettings).map(([name, value]) => `SET ${name} = '${value}'`)
  const newer = Object.entries(newerSettings).map(([name, value]) => `('${name}', '${value}')`)
  // Asked for each by its name: the view pg_settings makes all its rows for one, which takes a server milliseconds.
  const whatIsKnown = `SELECT set_config(name, value, false) FROM (VALUES ${newer.join(', ')}) AS newer (name, value)
    WHERE current_setting(name, true) IS NOT NULL
      AND (name <> 'client_connection_check_interval' OR version() ~ 'linux')`
  return [...known, whatIsKnown].join('; ')
}

/** Neon wakes a suspended database within seconds; a server that says nothing for so long is not there. */
const connectTimeoutMs = 20_000

async function openConnection(config: Config): Promise<Connection> {
  const url = new URL(config.DATABASE_URL)
  const client = new Client({
    connectionString: config.DATABASE_URL,
    application_name: 'taskmaster-reset',
    connectionTimeoutMillis: connectTimeoutMs,
  })
  // The driver would collect what is written for a millisecond, which each of some hundred round trips would wait.
  client.neonConfig.coalesceWrites = false
  const proxy = config.DATABASE_WEBSOCKET_PROXY
  if (proxy !== undefined) {
    client.neonConfig.wsProxy = () => `${proxy}/v1`
    client.neonConfig.useSecureWebSocket = false
    client.neonConfig.pipelineTLS = false
    client.neonConfig.pipelineConnect = false
  }
  // Without a listener a connection that the server ends would end the process; the next query reports it.
  client.on('error', () => {})
  let isOpen = false
  try {
    await client.connect()
    isOpen = true
    await client.query(settingsText())
    return client
  } catch (cause) {
    // Of one that never opened, end() never returns, and may throw where nobody catches it.
    if (isOpen) void client.end().catch(() => {})
    throw new StoreUnavailable(
      `The database ${url.pathname.slice(1)} at ${url.host} cannot be reached: ${reasonOf(cause)}. Check DATABASE_URL and that the server runs, then start again`,
      { cause },
    )
  }
}

/** A WebSocket that cannot be opened is reported as an event, which has no message when the connection was refused. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Event)) return messageOf(cause)
  const said = 'message' in cause && typeof cause.message === 'string' ? cause.message : ''
  return said === '' ? 'no WebSocket could be opened to it' : said
}

/** SSM's own limit is none; the API, which asks it in the middle of a request, gives up after half a minute itself. */
const parameterTimeout = { connectionTimeout: 2_000, requestTimeout: 3_000, throwOnRequestTimeout: true }

/** @throws StoreUnavailable when SSM does not answer, or fails; what it refuses otherwise is thrown as it is */
async function fetchParameter(path: string): Promise<string> {
  const ssm = new SSMClient({ requestHandler: parameterTimeout })
  const command = new GetParameterCommand({ Name: path, WithDecryption: true })
  const answer = await ssm.send(command).catch((cause: unknown) => {
    throw isRefusal(cause) ? cause : unreadable(path, cause)
  })
  if (answer.Parameter?.Value === undefined) throw new Error('the parameter has no value')
  return answer.Parameter.Value
}

/** A parameter that was there: a right that is missing now may have been taken by mistake, and says nothing of the list. */
async function fetchAgain(path: string): Promise<string> {
  return fetchParameter(path).catch((cause: unknown) => {
    const isGone = cause instanceof Error && cause.name === 'ParameterNotFound'
    throw isGone || cause instanceof StoreUnavailable ? cause : unreadable(path, cause)
  })
}

/** Asking too often is a failure, which is over in a moment. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof SSMServiceException && error.$fault === 'client' && error.name !== 'ThrottlingException'
  )
}

function unreadable(path: string, cause: unknown): StoreUnavailable {
  return new StoreUnavailable(
    `The SSM parameter ${path} cannot be read now: ${messageOf(cause)}. Check that the role may read it, and try again in a moment`,
    { cause },
  )
}
