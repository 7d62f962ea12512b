import { variables } from '../lib/config/variables.ts'
import { messageOf } from '../lib/errors.ts'
import { logToStderr } from './cli/logs.ts'
import { seconds, table } from './cli/show/table.ts'
import { describeParts } from './demo/parts.ts'
import { type Stack, startStack } from './stack.ts'
import { addresses, planStack } from './stack-plan.ts'
import { provideServices } from './stack-services.ts'

/** `npm start`: a full reset with backup on a stack of its own, from nothing to the proof. It touches no given service. */

let stack: Stack | undefined
let stopping: Promise<void> | undefined

forgetGivenServices()
logToStderr('SILENT')
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(130))
try {
  await provideServices(planStack({}), {
    fetch: true,
    note: (text) => process.stderr.write(`${text}\n`),
  })
  const starting = startStack({
    environment: { PATH: process.env.PATH },
    onCrash: (error) => void fail(error),
  })
  // Loading it takes as long as making a database does, so both are done at once.
  const loading = import('./demo/demonstrate.ts')
  stack = await starting
  say(`An embedded stack, up after ${seconds(performance.now())}:\n`)
  say(table(stack.services.map(({ name, description }) => [name, description])))
  const { demonstrate } = await loading
  await demonstrate(stack, say)
  say(`\n${describeParts(stack.services)}`)
  await end(0)
} catch (error) {
  await fail(error)
}

/** What the shell is configured with could name real stores; the demonstration wipes only what it made. */
function forgetGivenServices(): void {
  const { LOG_LEVEL: _, ...named } = variables
  const others = ['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_SFN', 'AWS_PROFILE']
  for (const name of [...Object.keys(named), ...addresses, ...others]) delete process.env[name]
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function fail(error: unknown): Promise<void> {
  if (stopping === undefined) process.stderr.write(`\nThe demonstration failed: ${messageOf(error)}\n`)
  await end(1)
}

function end(code: number): Promise<void> {
  stopping ??= (async () => {
    try {
      await stack?.stop()
      if (code === 0) say(`\nDone after ${seconds(performance.now())}; nothing is left running or stored.`)
    } catch (error) {
      process.stderr.write(`${messageOf(error)}\n`)
      code = 1
    }
    process.exit(code)
  })()
  return stopping
}
