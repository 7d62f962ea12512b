import { readdir } from 'node:fs/promises'
import type { Handler } from './machine/tasks.ts'

const FOLDER = new URL('../functions/', import.meta.url)

/** Each has a file of its name, and so has its bundle a folder. */
export async function namesOfFunctions(): Promise<string[]> {
  return (await readdir(FOLDER))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
}

/** The handlers of the real Lambda functions, by name. The environment must be complete before. */
export async function loadFunctions(): Promise<Record<string, Handler>> {
  const loaded = await Promise.all(
    (await namesOfFunctions()).map(async (name) => {
      const module = (await import(new URL(`${name}.ts`, FOLDER).href)) as { handler?: Handler }
      if (typeof module.handler !== 'function') throw new Error(`functions/${name}.ts exports no "handler".`)
      return [name, module.handler] as const
    }),
  )
  return Object.fromEntries(loaded)
}
