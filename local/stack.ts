import { readFile } from 'node:fs/promises'
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
import { planStack } from './stack-plan.ts'
import { startServices } from './stack-services.ts'
import type { Reached, Service } from './store.ts'
import { storeNames } from './stores.ts'

/** `env` is the environment of the handlers and the CLI, which is also put into process.env until stop(). It holds secrets. */
export type Stack = Reached & {
  services: Service[]
  machine: StepFunctionsEndpoint | undefined
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
  let guard: Promise<Guarded> | undefined
  const guarded = () => {
    guard ??= guardProcesses(onCrash)
    return guard
  }
  // Last of all: what stands in front of a process ends before it. A guard that could not be made has failed who asked for it.
  ending.add(async () => (await guard?.catch(() => undefined))?.stop())
  try {
    const started = await startServices(plan, { environment, guarded, onEnd: ending.add, postgresAdminUrl })
    const functions: Record<string, Handler> = {}
    const { beforeTask, retryIntervals } = options
    const machine =
      definition && (await startStepFunctions({ definition, functions, beforeTask, retryIntervals }))
    if (machine) ending.add(machine.stop)

    const env: Record<string, string> = {
      ENVIRONMENT: environment.ENVIRONMENT || 'local',
      ...Object.fromEntries(storeNames.flatMap((store) => Object.entries(started[store].env))),
      ...(machine
        ? { AWS_ENDPOINT_URL_SFN: machine.url, STATE_MACHINE_ARN: MACHINE_ARN }
        : { STATE_MACHINE_ARN: environment.STATE_MACHINE_ARN ?? '' }),
    }
    ending.add(borrowEnvironment(env))
    if (definition) {
      Object.assign(functions, await loadFunctions())
      assertRunsHere(definition, Object.keys(functions))
    }
    const processes = await guard
    return {
      env,
      services: [...storeNames.map((store) => started[store].service), machineService(machine, environment)],
      machine,
      connectRedis: started.cache.connectRedis,
      processes: { pids: [...(processes?.pids ?? [])], folder: processes?.folder },
      stop: ending.run,
    }
  } catch (error) {
    await ending.run()
    throw error
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

/** Puts the values into process.env, where the handlers look, and returns what puts back the ones that were there. */
function borrowEnvironment(values: Record<string, string>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, values)
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
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
