// A process of its own: an S3 in memory, which fills its buckets itself.
import pMap from 'p-map'
import { startS3 } from '../../local/files/s3.ts'
import { story, storyKey } from '../data/stories.ts'
import { serve } from './serve.ts'

export type S3Settings = { files: string; backups: string; prefix: string }
export type S3Started = { url: string }
/** `fill`: so many stories, where they are not there; `empty`: all backups and all work of runs go. */
export type S3Message = { fill: number } | { empty: true }

await serve<S3Settings, S3Message>(async ({ files, backups, prefix }) => {
  const { url } = await startS3([files, backups])

  async function onMessage(message: S3Message): Promise<void> {
    if ('fill' in message) await pMap(Array(message.fill).keys(), putStory, { concurrency: 32 })
    else await pMap(await keysIn(backups), (key) => ask('DELETE', backups, key), { concurrency: 32 })
  }
  async function putStory(number: number): Promise<void> {
    const key = prefix + storyKey(number)
    const there = await fetch(`${url}/${files}/${encodeURI(key)}`, { method: 'HEAD' })
    if (there.status === 404) await ask('PUT', files, key, story(number))
  }
  async function keysIn(bucket: string): Promise<string[]> {
    const keys: string[] = []
    for (let last = ''; ; last = keys.at(-1) ?? '') {
      const answer = await fetch(`${url}/${bucket}?list-type=2&start-after=${encodeURIComponent(last)}`)
      const found = [...(await answer.text()).matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key = '']) => key)
      if (found.length === 0) return keys
      keys.push(...found)
    }
  }
  async function ask(method: string, bucket: string, key: string, body?: string): Promise<void> {
    const answer = await fetch(`${url}/${bucket}/${encodeURI(key)}`, { method, ...(body && { body }) })
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(`${method} ${key}: ${answer.status}`)
  }
  return { started: { url } satisfies S3Started, onMessage }
})
