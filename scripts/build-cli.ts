// `npm pack` runs it first: bundles the command line into dist/cli, for a package that needs neither its sources, which Node does
// not read below node_modules, nor other packages. The embedded stack stays out: it is a database, and a checkout has it.
// See docs/decisions.md#the-program-is-a-bundle-in-a-package-and-sources-in-a-checkout.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../', import.meta.url))
const outdir = join(root, 'dist/cli')

/** The embedded stack and what fills it: nothing of a package imports them (local/cli/connect.ts). */
const ofCheckout = [
  ...['../stack.ts', '../stack-services.ts', '../sample.ts'],
  ...['./service.ts', './sample.ts', './demonstration.ts', './provide-redis.ts'],
]

await rm(outdir, { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { cli: 'local/cli.ts' },
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true, // a command loads what it needs
  platform: 'node',
  target: 'node24',
  format: 'esm',
  mainFields: ['module', 'main'],
  minify: true,
  metafile: true,
  external: ofCheckout,
  banner: {
    js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
  },
})
const foreign = Object.values(metafile.outputs).flatMap(({ imports }) =>
  imports.filter(({ path, external }) => external && !isBuiltIn(path) && !ofCheckout.includes(path)),
)
if (foreign.length > 0)
  throw new Error(
    `The package would need others: ${[...new Set(foreign.map(({ path }) => path))].join(', ')}`,
  )
const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0)
process.stderr.write(`dist/cli  ${Math.round(bytes / 1024)} KiB\n`)

function isBuiltIn(path: string): boolean {
  return path.startsWith('node:') || process.getBuiltinModule(path) !== undefined
}
