// `npm run build`: bundles every Lambda into dist/<function>/index.mjs, with a source map beside it, ready to be zipped,
// the web page into dist/api/console/, and the state machine's definition as the text that CloudFormation gets. With the
// name of another folder, into that.
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { makeApp } from '../lib/http/app.ts'
import { logger } from '../lib/log.ts'
import { buildConsole } from './build-console.ts'
import { leaveOut } from './leave-out.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const outdir = resolve(process.argv[2] ?? join(root, 'dist'))
/**
 * A cold start reads and compiles all of it: above 900 KiB somebody imported more than a function needs.
 * @see docs/decisions.md#a-cold-start-compiles-the-bundle-and-little-else-can-be-spared
 */
const maxBytes = 900 * 1024

/**
 * It gathers what zod exports in one object, and is empty in a bundle unless that object is asked for by name.
 * @see docs/decisions.md#zod-is-imported-as-its-parts
 */
const namesOfZod = 'node_modules/zod/v4/classic/external.js'

await buildFunctions()
await writeDefinition()
await copyFile(join(root, 'docs/operations.md'), join(outdir, 'api/operations.md')) // the runbook, which the API serves
await buildConsole(join(outdir, 'api/console'))
await writeDocument()

async function buildFunctions(): Promise<void> {
  const names = (await readdir(join(root, 'functions'))).map((file) => file.replace(/\.ts$/, ''))
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [
      ...names.map((name) => ({ in: `functions/${name}.ts`, out: `${name}/index` })),
      { in: 'lib/run/schedule/schedules.ts', out: 'schedules' }, // for infra/schedules.mjs
    ],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'], // the CommonJS builds of the AWS SDK call require(), which an ES module does not have
    minify: true,
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    plugins: [leaveOut(root)],
    // Some dependencies are CommonJS all the same.
    banner: {
      js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
    },
  })
  const bundles = Object.entries(metafile.outputs).filter(([file]) => file.endsWith('.mjs'))
  for (const [file, { bytes }] of bundles) console.log(`${file}  ${Math.round(bytes / 1024)} KiB`)
  for (const [file] of bundles) await refuseWideText(file)
  const whole = bundles.filter(([, { inputs }]) => (inputs[namesOfZod]?.bytesInOutput ?? 0) > 0)
  if (whole.length > 0)
    throw new Error(
      `${whole.map(([file]) => file).join(', ')}: all of zod is in it, 90 KiB. Write import * as z from 'zod', of which a bundle gets what is used, and not import { z }`,
    )
  const tooLarge = bundles.filter(([, { bytes }]) => bytes > maxBytes)
  if (tooLarge.length === 0) return
  const largest = tooLarge.map(([file, { inputs }]) => `${file}: ${largestIn(inputs).join(', ')}`)
  throw new Error(
    `A bundle has more than ${maxBytes / 1024} KiB. Import less in it, or leave more out in scripts/leave-out.ts; what is largest in it:\n${largest.join('\n')}`,
  )
}

/** One character beyond Latin-1, and V8 holds all of the bundle in two bytes each: 5 % of a cold start. */
async function refuseWideText(file: string): Promise<void> {
  const wide = /.{0,40}\P{ASCII}.{0,40}/u.exec(await readFile(join(root, file), 'utf8'))
  if (wide !== null)
    throw new Error(`${file}: a regular expression is not in ASCII, write its characters as \\u…: ${wide[0]}`)
}

/** The API's document, from the same routes that the bundle has. @see docs/decisions.md#the-document-is-made-by-the-build */
async function writeDocument(): Promise<void> {
  logger.setLogLevel('SILENT')
  const noClients = () => Promise.reject(new Error('The document needs no store'))
  const app = makeApp({ clients: noClients, pageFolders: [], documents: [] })
  const document = await (await app.request('/v1/openapi.json')).json()
  await writeFile(join(outdir, 'api/openapi.json'), JSON.stringify(document))
}

/** With another ending than .json, which the Serverless Framework would parse. */
async function writeDefinition(): Promise<void> {
  const definition = await readFile(join(root, 'state-machine.asl.json'), 'utf8')
  await writeFile(join(outdir, 'state-machine.asl'), JSON.stringify(JSON.parse(definition)))
}

/** The five packages, or folders of ours, that take the most bytes of a bundle. */
function largestIn(inputs: Record<string, { bytesInOutput: number }>): string[] {
  const bytesOf = new Map<string, number>()
  for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? file
    bytesOf.set(name, (bytesOf.get(name) ?? 0) + bytesInOutput)
  }
  const sorted = [...bytesOf].sort(([, one], [, other]) => other - one)
  return sorted.slice(0, 5).map(([name, bytes]) => `${name} ${Math.round(bytes / 1024)} KiB`)
}
