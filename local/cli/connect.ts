import { type Clients, makeClients } from '../../lib/clients.ts'
import { InvalidConfiguration, messageOf, StoreUnavailable } from '../../lib/errors.ts'
import type { Stack } from '../stack.ts'
import { isAllEmbedded, isComplete, planStack, type StackPlan } from '../stack-plan.ts'
import { storeNames, stores } from '../stores.ts'
import { isPackaged } from './program.ts'
import { adoptEnvironment, findRunningStack, namesOthers } from './running-stack.ts'

export type Connected = {
  clients: Clients
  /** The stack that ends with this process, when there is one: its executions end then too. */
  stack: Stack | undefined
  /** The stores end with this process, too: whatever was backed up in them. */
  isGoneAfterwards: boolean
  stop(): Promise<void>
}

/**
 * Connects to the stack that runs, else to the services in the environment, else to a stack of its own with a sample.
 * @param note told in a sentence which of them it is
 */
export async function connect(note: (text: string) => void): Promise<Connected> {
  const running = findRunningStack()
  if (running !== undefined && !namesOthers(process.env, running)) {
    if (running.env === null) {
      throw new StoreUnavailable(
        `The stack of "npm run dev" (process ${running.pid}) is still starting. Try again in a few seconds`,
      )
    }
    note(`This is the stack of "npm run dev" (process ${running.pid}).`)
    adoptEnvironment(running.env)
    return open(undefined)
  }
  if (running !== undefined)
    note('The environment names other services than "npm run dev" uses; these are used.')
  const plan = planned()
  // What starts things need not even be loaded where there is nothing to start: that takes a second.
  return isComplete(plan) ? open(undefined) : openOwn(plan, note)
}

async function openOwn(plan: StackPlan, note: (text: string) => void): Promise<Connected> {
  if (isPackaged) {
    throw new InvalidConfiguration(
      'The environment, or a file .env in this folder, names no service, or not all of them (.env.example has the variables). This package has no stack of its own to try things on: that is in a checkout of the project',
    )
  }
  const { startStack } = await import('../stack.ts')
  const { provideServices } = await import('../stack-services.ts')
  await provideServices(plan, { fetch: false, note })
  const stack = await startStack()
  try {
    const connected = { ...(await open(stack)), isGoneAfterwards: plan.database.embedded }
    if (plan.database.embedded) {
      note(
        'No stack runs and no service is given: this is a stack of its own, with a sample, gone afterwards.',
      )
      const { fillSample } = await import('../sample.ts')
      const { claimEnvironment } = await import('./run/claim-environment.ts')
      await fillSample(stack)
      await claimEnvironment(connected)
    }
    return connected
  } catch (error) {
    await stack.stop()
    throw error
  }
}

/** Clients for the environment as it is now. */
export async function open(stack: Stack | undefined): Promise<Connected> {
  const clients = await makeClients()
  async function stop(): Promise<void> {
    clients.sfn.destroy()
    clients.backups.s3.destroy()
    await stack?.stop()
  }
  return { clients, stack, isGoneAfterwards: false, stop }
}

/** What of the stack is given. A mixture could show one database and reset another. @throws InvalidConfiguration */
function planned(): StackPlan {
  const plan = plannedAtAll()
  const missing = storeNames.filter((store) => plan[store].embedded).map((store) => stores[store].howToGive)
  const nothingGiven = isAllEmbedded(plan) && plan.machine.embedded
  if (missing.length === 0 || nothingGiven) return plan
  throw new InvalidConfiguration(
    `Some services are given in the environment, but not ${missing.join(', ')}. Give all of them, or none to try it on a stack of its own`,
  )
}

function plannedAtAll(): StackPlan {
  try {
    return planStack(process.env)
  } catch (cause) {
    throw new InvalidConfiguration(messageOf(cause), { cause })
  }
}
