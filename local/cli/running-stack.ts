import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import * as z from 'zod'
import { variables } from '../../lib/config/variables.ts'
import { isRunning } from '../processes/sweep.ts'
import { addresses } from '../stack-plan.ts'

/** In the folder it was started in; holds secrets, so it is readable by its owner only, and git-ignored. */
const fileName = '.taskmaster-dev.json'

const RunningStack = z.strictObject({
  pid: z.number().int().positive(),
  /** null while it is still starting. */
  env: z.record(z.string(), z.string()).nullable(),
})
type RunningStack = z.output<typeof RunningStack>

/** What says where the services are, and what the functions there are configured with. */
const published = [...Object.keys(variables), ...addresses, 'AWS_ENDPOINT_URL_SFN', 'AWS_REGION']

/** The stack of `npm run dev`, when one runs. What a killed one left behind does not count. */
export function findRunningStack(): RunningStack | undefined {
  try {
    const stack = RunningStack.parse(JSON.parse(readFileSync(resolve(fileName), 'utf8')))
    return isRunning(stack.pid) ? stack : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Error(`${resolve(fileName)} cannot be understood. Stop "npm run dev" and delete the file`, {
      cause: error,
    })
  }
}

/**
 * Takes the place of the running stack. It is given up when this process ends.
 * @returns the stack that has the place already, or what publishes the own addresses once they are known
 */
export function takePlace(): { taken: RunningStack } | { publish: (env: Record<string, string>) => void } {
  const taken = findRunningStack()
  if (taken !== undefined) return { taken }
  write({ pid: process.pid, env: null })
  process.on('exit', () => {
    if (findRunningStack()?.pid === process.pid) unlinkSync(resolve(fileName))
  })
  return {
    publish: (env) => {
      const own = published.flatMap((name) => (process.env[name] ? [[name, process.env[name]] as const] : []))
      write({ pid: process.pid, env: { ...Object.fromEntries(own), ...env } })
    },
  }
}

/** True when the environment names services, and not those of the running stack. */
export function namesOthers(environment: NodeJS.ProcessEnv, stack: RunningStack): boolean {
  return addresses.some((name) => environment[name] && environment[name] !== stack.env?.[name])
}

/** Makes this process's environment that of the running stack's functions. */
export function adoptEnvironment(env: Record<string, string>): void {
  for (const name of published) delete process.env[name]
  Object.assign(process.env, env)
}

/** Never half written for who reads it at that moment, and never with the rights of a file that was there before. */
function write(stack: RunningStack): void {
  const draft = resolve(`${fileName}.${process.pid}`)
  writeFileSync(draft, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 })
  renameSync(draft, resolve(fileName))
}
