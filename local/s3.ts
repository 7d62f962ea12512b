import { buildApp } from 'fauxqs'
import { LOOPBACK } from './loopback.ts'

export type EmbeddedS3 = { url: string; stop(): Promise<void> }

/**
 * Starts an S3 that keeps everything in this process's memory: what it holds is gone when it stops. A request may be
 * at most 11 MiB there, so larger objects have to come in parts.
 */
export async function startS3(buckets: string[]): Promise<EmbeddedS3> {
  // Not through its startFauxqs, which listens on every address of the machine, and asks nobody for a password.
  const app = buildApp({ logger: false })
  const url = await app.listen({ host: LOOPBACK, port: 0 })
  for (const bucket of new Set(buckets)) {
    const answer = await app.inject({ method: 'PUT', url: `/${encodeURIComponent(bucket)}` })
    if (answer.statusCode !== 200) {
      await app.close()
      throw new Error(`The embedded S3 did not make the bucket "${bucket}": ${answer.body}`)
    }
  }
  return { url, stop: () => app.close() }
}
