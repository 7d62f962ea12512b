import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn'
import { Outcome } from '../../lib/run/outcome.ts'
import { endOfExecution } from '../support/end-of-execution.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

export const prefix = '.taskmaster/backups/'

/** A stack whose runs go through the real state machine, with little data in all three stores. */
export async function startBackups() {
  let beforeWipe = async () => {}
  let beforeState: (state: string) => Promise<void> = async () => {}
  const stack = await freshStack({
    beforeTask: async (state) => {
      if (state === 'Wipe database') await beforeWipe()
      await beforeState(state)
    },
  })
  const bucket = stack.env.BACKUP_BUCKET ?? ''
  const machine = new SFNClient({
    endpoint: stack.env.AWS_ENDPOINT_URL_SFN ?? '',
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })

  async function run(request: unknown): Promise<Outcome> {
    const { executionArn } = await machine.send(
      new StartExecutionCommand({
        stateMachineArn: stack.env.STATE_MACHINE_ARN ?? '',
        input: JSON.stringify(request),
      }),
    )
    const { status, output, error, cause } = await endOfExecution(machine, stack.machine, executionArn)
    if (status !== 'SUCCEEDED') throw new Error(`${status}: ${error}: ${cause}`)
    return Outcome.parse(JSON.parse(output ?? ''))
  }

  return {
    ...stack,
    bucket,
    run,
    /** Puts data into the three stores and claims them. `salt` makes other rows of the same number. */
    fill: async (salt: string) => {
      await fill(stack, salt)
      await run({ operation: 'claim', confirm: stack.env.ENVIRONMENT })
    },
    /** Every object below `below`, with its bytes. */
    read: (below: string) => readObjects(stack, bucket, below),
    /** Does something between the seal and the wipe of every run. */
    onBeforeWipe: (act: () => Promise<void>) => {
      beforeWipe = act
    },
    /** Does something before each state of every run. */
    onState: (act: (state: string) => Promise<void>) => {
      beforeState = act
    },
    async stop() {
      machine.destroy()
      await stack.stop()
    },
  }
}
export type Backups = Awaited<ReturnType<typeof startBackups>>

/** Odd names on purpose: S3 lists by the bytes of UTF-8, and a folder's own object is an object. */
const stories = ['', 'a b+c.txt', 'world/1.txt', 'world/2.txt', 'z/ä/💎 \u0001.txt', 'z/\uffee.txt', 'leer']

async function fill({ sql, s3, redis, env }: FreshStack, salt: string): Promise<void> {
  await sql.query(`
    DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE worlds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner int REFERENCES users, notes json);
    CREATE TABLE "Odd ""name/%" (at timestamptz, amount numeric);
    CREATE TABLE nothing (id int);
    INSERT INTO users (name) SELECT md5('${salt}' || i) FROM generate_series(1, 120) i;
    INSERT INTO worlds (owner, notes) SELECT i, E'{"a":\\n "${salt}"}' FROM generate_series(1, 80) i;
    INSERT INTO "Odd ""name/%" SELECT '2026-11-22', 10::numeric ^ 30 + i + hashtext('${salt}') FROM generate_series(1, 30) i`)
  for (const story of stories) {
    const Key = `${env.FILES_PREFIX}${story}`
    const Body = Buffer.from(story === 'leer' ? '' : `${story} ${salt} `.repeat(20))
    await s3.send(new PutObjectCommand({ Bucket: env.FILES_BUCKET ?? '', Key, Body }))
  }
  await redis.flushdb()
  const pipeline = redis.pipeline()
  for (let i = 0; i < 25; i++) pipeline.set(`page:${i}`, `${salt} ${i}`)
  pipeline.hset('hash', { a: salt, b: '2' }).rpush('list', '1', salt, '3').sadd('set', salt)
  await pipeline.exec()
}

/** Bytes as S3 would give them back. */
export type Objects = Map<string, Buffer>

async function readObjects({ s3 }: { s3: S3Client }, bucket: string, below: string): Promise<Objects> {
  const objects: Objects = new Map()
  const page = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: below, EncodingType: 'url' }))
  for (const { Key: encoded = '' } of page.Contents ?? []) {
    const Key = decodeURIComponent(encoded.replaceAll('+', '%20'))
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }))
    objects.set(Key, Buffer.from((await Body?.transformToByteArray()) ?? []))
  }
  return objects
}
