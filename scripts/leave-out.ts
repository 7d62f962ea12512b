// What of the packages and of our own the functions' bundles do not have: it never runs there, which tree shaking cannot know.
import { readFile } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { Plugin } from 'esbuild'

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

/** Of drizzle: what it makes of relations, and REFRESH MATERIALIZED VIEW. */
const notAsked =
  /drizzle-orm[\\/](relations|pg-core[\\/]query-builders[\\/](query|refresh-materialized-view))\.js$/

/** Of the SDK: what a stream of a browser is read by, and where a region is looked for that is in no variable, which Lambda sets. */
const notOfLambda: Record<string, string> = {
  'sdk-stream-mixin.browser': 'export const sdkStreamMixin = () => { throw new TypeError() }',
  'createChecksumStream.browser': 'export const createChecksumStream = () => { throw new TypeError() }',
  getInstanceMetadataRegion: 'export const getInstanceMetadataRegion = async () => undefined',
}

/** Modules of ours that the bundles have otherwise than the sources. */
const ownStandIns: Record<string, string> = {
  'lib/http/document/openapi.ts': `
    import { readFileSync } from 'node:fs'
    export const openApiDocument = () => JSON.parse(readFileSync(new URL('./openapi.json', import.meta.url), 'utf8'))`,
  // Only the document shows them.
  'lib/http/document/examples.ts': `
    export const [requests, toldRows, started, run, backup, backupDetails, options] =
      [{}, {}, {}, {}, {}, {}, {}]`,
}

/** @see docs/decisions.md#what-never-runs-is-in-no-bundle */
export function leaveOut(root: string): Plugin {
  return {
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
      // What schemas and routes say of themselves, which only the document shows; 14 KiB.
      onLoad({ filter: /[\\/]lib[\\/].*\.ts$/ }, async ({ path }) =>
        path.startsWith(join(root, 'lib'))
          ? { contents: withoutDescriptions(await readFile(path, 'utf8')), loader: 'ts' }
          : undefined,
      )
      onLoad({ filter: /./, namespace: 'stand-in' }, ({ path, pluginData }) => ({
        contents: standIns[path] ?? '',
        resolveDir: pluginData,
      }))
      // 60 languages of error messages, 260 KiB, which zod offers as one object.
      onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
        contents: `export { default as en } from './en.js'`,
        resolveDir: join(root, 'node_modules/zod/v4/locales'),
      }))
      // For tables that are written as functions of all kinds of columns, which ours are not; 12 KiB.
      onLoad({ filter: /drizzle-orm[\\/]pg-core[\\/]columns[\\/]all\.js$/ }, () => ({
        contents: 'export const getPgColumnBuilders = undefined',
      }))
      // Our tables have no relations, and no view is refreshed by it; 7 KiB.
      onLoad({ filter: notAsked }, async ({ path }) => ({
        contents: allUndefined(await readFile(path, 'utf8')),
      }))
      // Rows come by a COPY of ours; 8 KiB.
      onLoad({ filter: /pg-copy-streams[\\/]index\.js$/ }, async ({ path }) => ({
        contents: `import Query from './copy-from.js'\nexport const from = (text, options) => new Query(text, options)`,
        resolveDir: dirname(path),
      }))
      // The API tells its version, and nobody what it was built with; of the SDK's only the version is asked for, too.
      onLoad({ filter: /[\\/]package\.json$/ }, async ({ path }) => {
        const { version } = JSON.parse(await readFile(path, 'utf8'))
        return { contents: JSON.stringify({ version }), loader: 'json' }
      })
      // The SDK's own, for where Node was built without its crypto; 6 KiB.
      onLoad({ filter: /[\\/]sha(1|256)[\\/]Sha(1|256)Js\.js$/ }, ({ path }) => ({
        contents: `export const ${basename(path, '.js')} = undefined`,
      }))
      // 4 KiB.
      const elsewhere = new RegExp(
        `@smithy[\\\\/]core[\\\\/].*[\\\\/](${Object.keys(notOfLambda).join('|')})\\.js$`,
      )
      onLoad({ filter: elsewhere }, ({ path }) => ({ contents: notOfLambda[basename(path, '.js')] ?? '' }))
      // Each schema of zod can describe itself as a JSON Schema, which nothing in a function asks for; 17 KiB.
      onLoad({ filter: /zod[\\/]v4[\\/]core[\\/](to-json-schema|json-schema-processors)\.js$/ }, () => ({
        contents: 'module.exports = {}',
      }))
      onLoad({ filter: /[\\/]dist-es[\\/]schemas[\\/]schemas_0\.js$/ }, async ({ path }) => ({
        contents: withoutErrors(withoutComputing(await readFile(path, 'utf8'))),
      }))
    },
  }
}

function withoutDescriptions(module: string): string {
  return module.replaceAll(
    /\b(description:|summary:|describe\()\s*(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")/g,
    (_, before: string) => `${before}''`,
  )
}

/** The module with all its names and nothing behind them. */
function allUndefined(module: string): string {
  const names = /^export \{([^}]+)\}/m.exec(module)?.[1]?.split(',') ?? []
  return names.map((name) => `export const ${name.trim()} = undefined`).join('\n')
}

/**
 * The SDK's schemas of what its clients send and receive, all that is computed in them replaced by what comes out. What is
 * computed may have an effect, so that all schemas of all commands would be in each bundle; 80 KiB.
 */
function withoutComputing(schemas: string): string {
  const texts = new Map(
    [...schemas.matchAll(/^const (\w+) = (".*");$/gm)].map(([, name, text]) => [name, text]),
  )
  return schemas
    .replaceAll(/\[(\w+)\]: /g, (key, name) => `${texts.get(name) ?? key}: `)
    .replaceAll(/\b(\d+) \| (\d+)\b/g, (_, one, other) => String(Number(one) | Number(other)))
}

/**
 * A client registers a class for each error of its service, 20 KiB. For what is not registered there is the base class, with
 * the same name, message and status, as for the many errors of S3 that the SDK has no class for; we ask for no other class.
 */
function withoutErrors(schemas: string): string {
  return schemas.replaceAll(/^\w+\.registerError\((?!\w+ServiceException\$).*\n/gm, '')
}
