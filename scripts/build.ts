// `npm run build`: bundles every Lambda into dist/<function>/index.mjs, with a source map beside it, ready to be zipped,
// the web page into dist/api/console/, and the state machine's definition as the text that CloudFormation gets.
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { makeApp } from '../lib/http/app.ts'
import { logger } from '../lib/log.ts'
import { buildConsole } from './build-console.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const outdir = join(root, 'dist')
/** A cold start reads all of it: above 1 MiB somebody imported more than a function needs. */
const maxBytes = 2 ** 20

/**
 * It gathers what zod exports in one object, and is empty in a bundle unless that object is asked for by name.
 * @see docs/decisions.md#zod-is-imported-as-its-parts
 */
const namesOfZod = 'node_modules/zod/v4/classic/external.js'

/** In place of modules that a function never uses, but that tree shaking cannot know to be useless. */
const standIns: Record<string, string> = {
  // Lambda gives a function's credentials as environment variables; profiles, SSO and metadata services are 90 KiB.
  '@aws-sdk/credential-provider-node': `export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env'`,
  // Only S3 Select and the like answer with a stream of events; 15 KiB.
  '@smithy/core/event-streams': `
    export const resolveEventStreamSerdeConfig = (config) => config
    export const eventStreamSerdeProvider = undefined
    export const EventStreamSerde = undefined`,
  // To add to its classes it takes `z`, which holds all of zod; 90 KiB.
  zod: `
    import { ZodType } from 'zod'
    export const z = { ZodType }`,
  // The API's document is written by this build, so the function need not be able to make it; 30 KiB.
  '@asteasolutions/zod-to-openapi': `
    export { OpenAPIRegistry, extendZodWithOpenApi, getOpenApiMetadata } from '@asteasolutions/zod-to-openapi'
    export const OpenApiGeneratorV3 = undefined
    export const OpenApiGeneratorV31 = undefined`,
}

/** Modules of ours that the bundles have otherwise than the sources. */
const ownStandIns: Record<string, string> = {
  'lib/http/document/openapi.ts': `
    import { readFileSync } from 'node:fs'
    export const openApiDocument = () => JSON.parse(readFileSync(new URL('./openapi.json', import.meta.url), 'utf8'))`,
  // Only the document shows them.
  'lib/http/document/examples.ts': `
    export const [requests, started, run, backup, backupDetails, options] = [{}, {}, {}, {}, {}, {}]`,
}

const leaveOut: Plugin = {
  name: 'leave-out',
  setup({ onResolve, onLoad }) {
    const names = Object.keys(standIns).join('|')
    onResolve({ filter: new RegExp(`^(${names})$`) }, ({ path, importer, resolveDir, namespace }) => {
      if (namespace === 'stand-in') return undefined // it takes what it needs from the real one
      if (path === 'zod' && !importer.includes('zod-openapi')) return undefined
      return { path, namespace: 'stand-in', pluginData: resolveDir }
    })
    onLoad({ filter: new RegExp(`[\\\\/](${Object.keys(ownStandIns).join('|')})$`) }, ({ path }) => ({
      contents: ownStandIns[relative(root, path).split(sep).join('/')] ?? '',
    }))
    onLoad({ filter: /./, namespace: 'stand-in' }, ({ path, pluginData }) => ({
      contents: standIns[path] ?? '',
      resolveDir: pluginData,
    }))
    // 60 languages of error messages, 260 KiB, which zod offers as one object.
    onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: `export { default as en } from './en.js'`,
      resolveDir: join(root, 'node_modules/zod/v4/locales'),
    }))
    // The API tells its version, and nobody what it was built with.
    onLoad({ filter: /[\\/]package\.json$/ }, async ({ path }) => {
      if (path !== join(root, 'package.json')) return undefined
      const { version } = JSON.parse(await readFile(path, 'utf8'))
      return { contents: JSON.stringify({ version }), loader: 'json' }
    })
    // Every error of Systems Manager is registered, 45 KiB; these are those of GetParameter. Of others the base class comes.
    onLoad({ filter: /client-ssm[\\/]dist-es[\\/]schemas[\\/]schemas_0\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll(
        /^\w+\.registerError\((?!SSMServiceException|InternalServerError|InvalidKeyId|Parameter(Version)?NotFound).*\n/gm,
        '',
      ),
    }))
  },
}

await buildFunctions()
await writeDefinition()
await copyFile(join(root, 'docs/operations.md'), join(outdir, 'api/operations.md')) // the runbook, which the API serves
await buildConsole(join(outdir, 'api/console'))
await writeDocument()

async function buildFunctions(): Promise<void> {
  const names = (await readdir(join(root, 'functions'))).map((file) => file.replace(/\.ts$/, ''))
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: names.map((name) => ({ in: `functions/${name}.ts`, out: `${name}/index` })),
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
    plugins: [leaveOut],
    // Some dependencies are CommonJS all the same.
    banner: {
      js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
    },
  })
  const bundles = Object.entries(metafile.outputs).filter(([file]) => file.endsWith('.mjs'))
  for (const [file, { bytes }] of bundles) console.log(`${file}  ${Math.round(bytes / 1024)} KiB`)
  const whole = bundles.filter(([, { inputs }]) => (inputs[namesOfZod]?.bytesInOutput ?? 0) > 0)
  if (whole.length > 0)
    throw new Error(
      `${whole.map(([file]) => file).join(', ')}: all of zod is in it, 90 KiB. Write import * as z from 'zod', of which a bundle gets what is used, and not import { z }`,
    )
  const tooLarge = bundles.filter(([, { bytes }]) => bytes > maxBytes)
  if (tooLarge.length === 0) return
  const largest = tooLarge.map(([file, { inputs }]) => `${file}: ${largestIn(inputs).join(', ')}`)
  throw new Error(
    `A bundle has more than ${maxBytes / 1024} KiB. Import less in it, or leave more out here; what is largest in it:\n${largest.join('\n')}`,
  )
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
