import { readdir } from 'node:fs/promises'
import type { Handler } from './machine/tasks.ts'

const FOLDER = new URL('../functions/', import.meta.url)

/** The handlers of the real Lambda functions, by file name. The environment must be complete before. */
export async function loadFunctions(): Promise<Record<string, Handler>> {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.ts'))
  const loaded = await Promise.all(
    files.map(async (file) => {
      const module = (await import(new URL(file, FOLDER).href)) as { handler?: Handler }
      if (typeof module.handler !== 'function') throw new Error(`functions/${file} exports no "handler".`)
      return [file.slice(0, -'.ts'.length), module.handler] as const
    }),
  )
  return Object.fromEntries(loaded)
}
