import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { beforeAll, describe, expect, test } from 'vitest'
import { inFullForm, isFull } from '../support/trust.ts'
import { tokenOf, useApi } from './api-stack.ts'

const folder = fileURLToPath(new URL('../../.ci/clients/', import.meta.url))
/**
 * Why the tests are left out where the folder's packages are not installed, which only CI does by itself.
 * @see docs/decisions.md#generators-of-clients-are-installed-in-ci-only
 */
const reason = existsSync(`${folder}node_modules`)
  ? undefined
  : 'Generators of clients are not installed: npm ci --ignore-scripts --prefix .ci/clients'

const run = promisify(execFile)
/** One of the folder's programs, by the Node that runs this. */
const program = (name: string, ...args: string[]) =>
  run(process.execPath, [`${folder}node_modules/.bin/${name}`, ...args], {
    cwd: folder,
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' },
  })

const sound = 'is one that Redocly and Spectral find nothing wrong with'
const usable = `makes clients that compile, do a reset with what must be said, and read what is refused ${inFullForm}`

describe('the document', reason === undefined ? whereInstalled : leftOut)

function leftOut(): void {
  for (const name of [sound, usable]) test(name, ({ skip }) => skip(reason))
}

function whereInstalled(): void {
  const api = useApi()
  const document = `${folder}generated/openapi.json`

  beforeAll(async () => {
    await rm(`${folder}generated`, { recursive: true, force: true })
    await mkdir(`${folder}generated`)
    await writeFile(document, JSON.stringify(api.document))
  })

  test(sound, async () => {
    const [redocly, spectral] = await Promise.all([
      program('redocly', 'lint', '--format', 'json', document),
      program('spectral', 'lint', '--quiet', '--format', 'json', '--fail-severity', 'hint', document),
    ])
    expect(JSON.parse(redocly.stdout)).toMatchObject({ totals: { errors: 0, warnings: 0 }, problems: [] })
    expect(JSON.parse(spectral.stdout)).toEqual([])
  })

  test.runIf(isFull)(usable, async () => {
    await Promise.all([
      program('openapi-typescript', document, '-o', 'generated/openapi-typescript.d.ts'),
      program('openapi-ts', '-i', document, '-o', 'generated/hey-api', '-c', '@hey-api/client-fetch'),
    ])
    const { stdout: wrong } = await program('tsc', '--project', folder).catch((error) => error)
    expect(wrong).toBe('')
    for (const name of ['openapi-fetch', 'hey-api']) {
      await api.reset.seed({ users: 2, files: 3, keys: 1 })
      const outfile = `${folder}generated/${name}.mjs`
      const entryPoints = [`${folder}${name}.ts`]
      await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' })
      const env = { PATH: process.env.PATH, API_URL: api.url, API_TOKEN: tokenOf('all') }
      const { stdout } = await run(process.execPath, [outfile], { env })
      expect(JSON.parse(stdout)).toEqual({
        status: 'succeeded',
        objects: 3,
        refused: 'InvalidRequest',
        newest: true,
      })
    }
  })
}
