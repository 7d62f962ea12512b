import type { Target } from '../lib/store.ts'
import { type Shapes, storeNames, stores } from './stores.ts'

/** Which services come from the environment, and which are embedded. Decided before anything is started. */
export type StackPlan = { [T in Target]: Shapes[T]['plan'] } & {
  machine: { embedded: true } | { embedded: false; arn: string }
}

/** Variables of which each names a service. */
export const addresses = [...storeNames.flatMap((store) => stores[store].addresses), 'STATE_MACHINE_ARN']

/**
 * The embedded S3 was asked to hold the files and the backups of a database or cache that outlives it: a reset would
 * wipe what lasts, and the only backup of it would be gone with the process.
 */
export class EmbeddedFilesRefused extends Error {
  override readonly name = 'EmbeddedFilesRefused'
  readonly given: string[]
  constructor(given: string[]) {
    super(
      `The embedded S3 keeps everything in memory and forgets it when it stops, but ${given.join(' and ')} would go on ` +
        'existing, without a backup. Give a lasting S3 as well (AWS_ENDPOINT_URL_S3; or AWS credentials together with ' +
        `FILES_BUCKET and BACKUP_BUCKET), or unset ${given.join(' and ')} to use the embedded services for all of it.`,
    )
    this.given = given
  }
}

/** An empty variable counts as not given, as in a .env file with a line left open. */
export function planStack(environment: NodeJS.ProcessEnv): StackPlan {
  const planned = storeNames.map((store) => [store, stores[store].plan(environment)])
  const arn = environment.STATE_MACHINE_ARN
  const plan: StackPlan = {
    ...(Object.fromEntries(planned) as Pick<StackPlan, Target>),
    machine: arn ? { embedded: false, arn } : { embedded: true },
  }
  const given = storeNames.filter((store) => !plan[store].embedded)
  if (plan.files.embedded && given.length > 0)
    throw new EmbeddedFilesRefused(given.map((store) => givenBy(plan, store)))
  return plan
}

function givenBy<T extends Target>(plan: StackPlan, store: T): string {
  return stores[store].givenBy(plan[store])
}

/** Nothing of it is given: what is in it goes with it. */
export function isAllEmbedded(plan: StackPlan): boolean {
  return storeNames.every((store) => plan[store].embedded)
}

/** Whether there is nothing to start. */
export function isComplete(plan: StackPlan): boolean {
  const isGiven = <T extends Target>(store: T) => stores[store].isComplete(plan[store])
  return storeNames.every(isGiven) && !plan.machine.embedded
}
