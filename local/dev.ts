import { fileURLToPath } from 'node:url'
import { scopes } from '../lib/config/values.ts'
import { messageOf } from '../lib/errors.ts'
import { buildConsole } from '../scripts/build-console.ts'
import { newToken } from './cli/commands/token.ts'
import { open } from './cli/connect.ts'
import { logToStderr } from './cli/logs.ts'
import { claimEnvironment } from './cli/run/claim-environment.ts'
import { takePlace } from './cli/running-stack.ts'
import { table } from './cli/show/table.ts'
import { readEnvFile } from './env-file.ts'
import { type HttpHandler, startHttpFront } from './http-front.ts'
import { fillSample, type Sample, sampleInWords } from './sample.ts'
import { type Stack, startStack } from './stack.ts'
import { isAllEmbedded, planStack } from './stack-plan.ts'
import { provideServices } from './stack-services.ts'

/**
 * `npm run dev`: keeps the stack running, with the HTTP API and the page, until Ctrl-C. `PORT` is the page's, if set, and
 * `DEV_TOKEN` a token with every scope, which is made otherwise.
 */

const place = takePlace()
if ('taken' in place) {
  process.stderr.write(
    `"npm run dev" runs already (process ${place.taken.pid}). Use it with npm run -s cli, or stop it first.\n`,
  )
  process.exit(2)
}
const note = (text: string) => void process.stderr.write(`${text}\n`)

let stack: Stack | undefined
let front: Awaited<ReturnType<typeof startHttpFront>> | undefined
let stopping: Promise<void> | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))

try {
  readEnvFile(note)
  logToStderr('WARN')
  const given = givenToken()
  await provideServices(planStack(process.env), { fetch: true, note })
  stack = await startStack({
    onCrash: (error) => {
      process.stderr.write(`${error.message}\n`)
      void end(1)
    },
  })
  const sample = await prepare(stack)
  const token = process.env.API_TOKENS ? undefined : grantAll(given)
  front = await serve()
  process.env.PAGE_URL ||= front.url // notices link to the page that runs here
  place.publish(stack.env)
  process.stdout.write(`${describe(stack, sample, { url: front.url, token })}\n`)
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  await end(1)
}

/** Only stores that were made just now are filled, and claimed without being asked. */
async function prepare(stack: Stack): Promise<Sample | undefined> {
  if (stack.services.some(({ embedded }) => !embedded)) return undefined
  const sample = await fillSample(stack)
  const connected = await open(undefined)
  await claimEnvironment(connected)
  await connected.stop()
  return sample
}

/** A token that somebody thought of, or that stands in a document, opens stores that are made now, and no others. */
function givenToken(): string | undefined {
  const token = process.env.DEV_TOKEN
  if (!token) return undefined
  if (isAllEmbedded(planStack(process.env))) return token
  throw new Error(
    'DEV_TOKEN opens a stack of its own only, and services are given. Leave it out, or make a token with "npm run -s cli -- token" and put its entry into API_TOKENS',
  )
}

/** A token with every scope, for this process only: tokens that are given are used instead. */
function grantAll(given: string | undefined): string {
  const { token, entry } = newToken('dev', scopes, given)
  process.env.API_TOKENS = JSON.stringify([entry])
  return token
}

/** The real handler, which finds the page where `npm run build` puts it. */
async function serve() {
  await buildConsole(fileURLToPath(new URL('../dist/api/console', import.meta.url)))
  const { handler } = await import('../functions/api.ts')
  return startHttpFront(handler as HttpHandler, Number(process.env.PORT ?? 0))
}

function describe(
  stack: Stack,
  sample: Sample | undefined,
  { url, token }: { url: string; token: string | undefined },
): string {
  const services = stack.services.map(({ name, description }) => [name, description])
  const { ENVIRONMENT = '', DATABASE_URL = '' } = stack.env
  const filled =
    sample === undefined
      ? `These are given services, so nothing was put into them. If they were never claimed:\n\n  npm run -s cli -- claim --confirm ${ENVIRONMENT}`
      : `Filled with ${sampleInWords(sample)
          .join(', ')
          .replace(/, (?=[^,]*$)/, ' and ')}. Everything is gone when this ends.\n\n  psql '${DATABASE_URL}'`
  return `The stack of the environment "${ENVIRONMENT}" runs:

${table(services)}
${filled}

The page and the HTTP API:

  ${url}
  ${token === undefined ? 'Sign in with a token of API_TOKENS.' : `Token: ${token}`}

In another terminal:

  npm run -s cli -- options
  npm run -s cli -- reset full --dry-run
  npm run -s cli -- reset full --confirm ${ENVIRONMENT}
  npm run -s cli -- backups

Ctrl-C ends it.`
}

function end(code: number): Promise<void> {
  stopping ??= (async () => {
    process.stderr.write('Stopping …\n')
    try {
      await front?.stop()
      await stack?.stop()
    } catch (error) {
      process.stderr.write(`${messageOf(error)}\n`)
      code = 1
    }
    process.exit(code)
  })()
  return stopping
}
