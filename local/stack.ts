import { readFile } from 'node:fs/promises'
import type { Redis } from 'ioredis'
import { loadFunctions as loadProductFunctions } from './functions.ts'
import { MACHINE_ARN } from './machine/arn.ts'
import { assertRunsHere, type Definition, readDefinition } from './machine/definition.ts'
import {
  type StepFunctionsEndpoint,
  type StepFunctionsOptions,
  startStepFunctions,
} from './machine/step-functions.ts'
import type { Handler } from './machine/tasks.ts'
import { type Guarded, guardProcesses } from './processes/child-processes.ts'
import { borrowEnvironment, filesEnvironment, signingEnvironment } from './stack-environment.ts'
import { planStack } from './stack-plan.ts'
import { type Service, startCache, startDatabase, startFiles } from './stack-services.ts'

export type Stack = {
  /** The environment of the handlers and the CLI, which is also put into process.env until stop(). Holds secrets. */
  env: Record<string, string>
  /** What runs and where; no password and no token in it. */
  services: Service[]
  machine: StepFunctionsEndpoint | undefined
  /** A client past the REST front, to the same keys. Undefined when the cache is only known by its REST address. */
  connectRedis: (() => Redis) | undefined
  /** What must be gone after stop(), and after any other end of this process. */
  processes: { pids: number[]; folder: string | undefined }
  /** May be called more than once, and at any time. */
  stop(): Promise<void>
}

export type StackOptions = Pick<StepFunctionsOptions, 'beforeTask' | 'retryIntervals'> & {
  /** What is given; what is missing there is embedded. Default: process.env. */
  environment?: NodeJS.ProcessEnv
  /** A server for a database of its own in it, in place of a server of its own; for tests. */
  postgresAdminUrl?: string
  /** Called when a child process dies. What is left still has to be stopped. */
  onCrash?: (error: Error) => void
  loadFunctions?: () => Promise<Record<string, Handler>>
  /** Default: state-machine.asl.json */
  definition?: Definition
}

/** Starts whatever the environment does not give, all on loopback. A stack that cannot start leaves nothing behind. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const {
    environment = process.env,
    postgresAdminUrl,
    onCrash,
    loadFunctions = loadProductFunctions,
  } = options
  const plan = planStack(environment)
  const definition = plan.machine.embedded
    ? (options.definition ?? (await readProductDefinition()))
    : undefined
  const ending = endings()
  try {
    const guarded = await guardIfNeeded()
    const [database, cache, files] = await all([
      startDatabase(plan.database, guarded, postgresAdminUrl, ending.add),
      startCache(plan.cache, guarded, environment, ending.add),
      startFiles(plan.files, environment, ending.add),
    ])
    const functions: Record<string, Handler> = {}
    const { beforeTask, retryIntervals } = options
    const machine =
      definition && (await startStepFunctions({ definition, functions, beforeTask, retryIntervals }))
    if (machine) ending.add(machine.stop)

    const env: Record<string, string> = {
      ENVIRONMENT: environment.ENVIRONMENT || 'local',
      ...filesEnvironment(plan.files, environment),
      ...signingEnvironment(plan.files, environment),
      ...database.env,
      ...cache.env,
      ...files.env,
      ...(machine
        ? { AWS_ENDPOINT_URL_SFN: machine.url, STATE_MACHINE_ARN: MACHINE_ARN }
        : { STATE_MACHINE_ARN: environment.STATE_MACHINE_ARN ?? '' }),
    }
    ending.add(borrowEnvironment(env))
    if (definition) {
      Object.assign(functions, await loadFunctions())
      assertRunsHere(definition, Object.keys(functions))
    }
    return {
      env,
      services: [database.service, cache.service, files.service, machineService(machine, environment)],
      machine,
      connectRedis: cache.connectRedis,
      processes: { pids: [...(guarded?.pids ?? [])], folder: guarded?.folder },
      stop: ending.run,
    }
  } catch (error) {
    await ending.run()
    throw error
  }

  async function guardIfNeeded(): Promise<Guarded | undefined> {
    if (!(plan.database.embedded && !postgresAdminUrl) && !plan.cache.embedded) return undefined
    const guarded = await guardProcesses(onCrash)
    ending.add(guarded.stop)
    return guarded
  }
}

/** Runs what was added, last first, once, and to its end even if one of them fails. */
function endings(): { add(end: () => void | Promise<void>): void; run(): Promise<void> } {
  const ends: (() => void | Promise<void>)[] = []
  let running: Promise<void> | undefined
  async function runAll(): Promise<void> {
    const errors: unknown[] = []
    for (let end = ends.pop(); end; end = ends.pop()) {
      try {
        await end()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0)
      throw new AggregateError(errors, 'The stack was stopped, but not everything ended in order.')
  }
  return { add: (end) => void ends.push(end), run: () => (running ??= runAll()) }
}

/** Waits for all of them even when one fails: what starts late must be known before it can be torn down. */
async function all<A, B, C>(starts: [Promise<A>, Promise<B>, Promise<C>]): Promise<[A, B, C]> {
  await Promise.allSettled(starts)
  return await Promise.all(starts)
}

async function readProductDefinition(): Promise<Definition> {
  return readDefinition(await readFile(new URL('../state-machine.asl.json', import.meta.url), 'utf8'))
}

function machineService(machine: StepFunctionsEndpoint | undefined, environment: NodeJS.ProcessEnv): Service {
  return {
    name: 'state machine',
    embedded: machine !== undefined,
    description: machine
      ? `Step Functions endpoint on ${new URL(machine.url).host}`
      : `${environment.STATE_MACHINE_ARN}`,
    real: machine ? [] : ['Step Functions'],
    imitated: machine ? ['Step Functions and Lambda'] : [],
  }
}
