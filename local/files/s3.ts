import type { IncomingMessage } from 'node:http'
import { findPackageJSON } from 'node:module'
import { pathToFileURL } from 'node:url'
import { buildApp } from 'fauxqs'
import { LOOPBACK } from '../loopback.ts'
import { keepConditions } from './s3/conditions.ts'
import { encodeListings } from './s3/encoded-listings.ts'
import { OrderedBucket } from './s3/ordered-bucket.ts'
import { listAsS3, type Store } from './s3/store.ts'

export type EmbeddedS3 = { url: string; stop(): Promise<void> }

/**
 * Starts an S3 that keeps everything in this process's memory: what it holds is gone when it stops. It is fauxqs, with
 * what the product relies on and fauxqs leaves out: listings in S3's order, conditions on writes, copies and deletions,
 * and url-encoded listings.
 */
export async function startS3(buckets: string[]): Promise<EmbeddedS3> {
  const store = await newStore()
  // Not through its startFauxqs, which listens on every address of the machine, and asks nobody for a password.
  const app = buildApp({ logger: false, stores: { s3Store: store } as never })
  // Its own parser refuses more than 11 MiB; S3 takes 5 GB.
  app.removeContentTypeParser('*')
  app.addContentTypeParser('*', (_request: unknown, payload: IncomingMessage) => readAll(payload))
  keepConditions(app, store)
  encodeListings(app)
  for (const bucket of new Set(buckets)) store.createBucket(bucket)
  const url = await app.listen({ host: LOOPBACK, port: 0 })
  return { url, stop: () => app.close() }
}

/** The class of its store is no export of the package, so it is imported by the path of its file. */
async function newStore(): Promise<Store> {
  const fauxqs = pathToFileURL(findPackageJSON('fauxqs', import.meta.url) ?? '')
  const { S3Store } = (await import(new URL('dist/s3/s3Store.js', fauxqs).href)) as {
    S3Store: new () => Store
  }
  const store = new S3Store()
  const createBucket = store.createBucket.bind(store)
  store.createBucket = (name, ...options) => {
    createBucket(name, ...options)
    if (!(store.buckets.get(name) instanceof OrderedBucket)) store.buckets.set(name, new OrderedBucket())
  }
  store.listObjects = (bucket, options) => listAsS3(store, bucket, options)
  return store
}

async function readAll(payload: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of payload) chunks.push(chunk)
  return Buffer.concat(chunks)
}
