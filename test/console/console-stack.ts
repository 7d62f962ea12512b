import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { backupAddress } from '../../console/route.ts'
import { makeApp } from '../../lib/http/app.ts'
import { behindGateway } from '../../lib/http/gateway.ts'
import { currentClients } from '../../lib/task.ts'
import { type HttpHandler, startHttpFront } from '../../local/http-front.ts'
import { buildConsole } from '../../scripts/build-console.ts'
import { useCliStack } from '../cli/cli-stack.ts'
import { useRecorder } from '../http/recorder.ts'
import { chromiumOf } from '../support/chromium.ts'
import { isFull } from '../support/trust.ts'

export const chromiumPath = chromiumOf(process.env)

/** What the browser would only spend time on. It heeds the last list alone, so Playwright's own are in it too. */
const leftOut = [
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'ThirdPartyStoragePartitioning',
  // The address bar's suggestions: two web pages with a process of their own for every window that is opened.
  'WebUIOmniboxAimPopup',
  'WebUIOmniboxPopup',
  // A process kept ready for the next page.
  'SpareRendererForSitePerProcess',
]

const scopesOf: Record<string, string[]> = {
  admin: ['read', 'backup', 'reset', 'restore', 'delete'],
  viewer: ['read'],
}
export const tokenOf = (name: string) => `token-of-${name}`

/** A stack with a sample, the API before it, and the page as it is built, in a browser. */
export function useConsole() {
  process.env.API_TOKENS = JSON.stringify(
    Object.entries(scopesOf).map(([name, scopes]) => ({
      name,
      sha256: createHash('sha256').update(tokenOf(name)).digest('hex'),
      scopes,
      ...(name === 'viewer' && { expiresAt: '2099-01-01T02:00:00+02:00' }),
    })),
  )
  let held: { state: string; reach: () => void; let: Promise<void> } | undefined
  const cli = useCliStack({
    beforeTask: async (state) => {
      if (state !== held?.state) return
      held.reach()
      await held.let
    },
  })
  const record = useRecorder()
  let browser: Browser
  let front: Awaited<ReturnType<typeof startHttpFront>>
  let folder: string
  const faults: string[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'console-test-'))
    await buildConsole(folder)
    const app = makeApp({
      clients: currentClients,
      pageFolders: [pathToFileURL(`${folder}/`)],
      documents: [new URL('../../docs/operations.md', import.meta.url)],
    })
    front = await startHttpFront(exactly(record(behindGateway(app) as HttpHandler).handler))
    browser = await chromium.launch({
      executablePath: chromiumPath ?? '',
      args: [`--disable-features=${leftOut.join(',')}`],
    })
  })
  afterAll(async () => {
    await browser?.close()
    await front?.stop()
    if (folder !== undefined) await rm(folder, { recursive: true })
  })
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close()
    expect(faults.splice(0), 'what the browser complained about').toEqual([])
  })

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({
      timezoneId: 'UTC',
      locale: 'en-GB',
      reducedMotion: 'reduce', // else a step at work is drawn sixty times a second
      ...options,
    })
    context.setDefaultTimeout(isFull ? 300_000 : 60_000) // beside other test files a run takes its time
    const page = await context.newPage()
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      // An answer that refuses, and a lost connection, are told here too.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        faults.push(message.text())
      }
    })
    await page.goto(front.url)
    return page
  }

  async function signIn(name: string, options?: BrowserContextOptions): Promise<Page> {
    const page = await open(options)
    await page.getByLabel('Access token').fill(tokenOf(name))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { level: 1, name: 'local' }).waitFor()
    return page
  }

  /** Holds the machine before a state, so that a run stays where a test wants to see it. */
  function hold(state: string): { reached: Promise<void>; release: () => void } {
    const arrival = Promise.withResolvers<void>()
    const departure = Promise.withResolvers<void>()
    held = { state, reach: arrival.resolve, let: departure.promise }
    return { reached: arrival.promise, release: departure.resolve }
  }

  /** Asks the API past the page, as somebody else would. */
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  async function ask(method: string, path: string, body?: unknown): Promise<any> {
    const answer = await fetch(`${front.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${tokenOf('admin')}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return answer.json()
  }

  /** Starts a run past the page and waits for its end. @returns the link to its backup, in the list of backups */
  async function finish(request: object): Promise<string> {
    const { address } = await ask('POST', '/runs', request)
    for (;;) {
      const { status, backupId } = await ask('GET', address.replace('/v1', ''))
      if (status === 'succeeded') return `a[href="${backupAddress(backupId)}"]`
      if (status !== 'starting' && status !== 'running') throw new Error(`${address} is ${status}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  return {
    get stack() {
      return cli.stack
    },
    count: cli.count,
    open,
    signIn,
    hold,
    ask,
    finish,
  }
}

/** On a busy machine the service may have no time to count, and estimate: then it is asked again. */
function exactly(handler: HttpHandler): HttpHandler {
  const isRough = /"(?:estimated|approximate)":true|"available":false/
  return async (event) => {
    for (let time = 1; ; time++) {
      const answer = await handler(event)
      if (event.rawPath !== '/v1/options' || !isRough.test(answer.body ?? '') || time === 10) return answer
    }
  }
}

/** What is reset, or to what. */
export const choose = (page: Pick<Page, 'getByRole'>, name: string) =>
  page.getByRole('radio', { name }).check()

/** What is read, however it is laid out. */
export const oneLine = (text: string) => text.replaceAll(/\s+/g, ' ')
