import { S3Client } from '@aws-sdk/client-s3'
import { SFNClient } from '@aws-sdk/client-sfn'
import { GetParameterCommand, SSMClient, SSMServiceException } from '@aws-sdk/client-ssm'
import type { Token } from './config/values.ts'
import type { Config } from './config/variables.ts'
import { readConfig, readTokens } from './config.ts'
import { messageOf, StoreUnavailable } from './errors.ts'
import { type Connection, connect } from './postgres/connection.ts'
import { BinaryRedis } from './redis/binary-redis.ts'
import { refreshed } from './refresh.ts'
import type { Bucket } from './s3/bucket.ts'
import type { SigningKey } from './signature.ts'

/** What a domain function is given to work with. */
export type Clients = {
  config: Config
  /** The bucket of the generated files, FILES_BUCKET. */
  files: Bucket
  /** The bucket of the backups and of the runs' work, BACKUP_BUCKET, with the keys that sign them. */
  backups: Bucket & { signing: readonly SigningKey[] }
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
    connect: () => connect(config),
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

/** The client for both buckets. @see docs/decisions.md#s3-is-asked-for-as-much-as-it-gives */
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
    files: { s3, name: config.FILES_BUCKET },
    backups: { s3, name: config.BACKUP_BUCKET, signing: config.SIGNING_KEYS },
  }
}

function regionOf(arn: string | undefined): { region?: string } {
  const region = arn?.split(':')[3]
  return region === undefined ? {} : { region }
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
