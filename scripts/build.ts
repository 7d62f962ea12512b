// `npm run build`: bundles every Lambda into dist/<function>/index.mjs, with a source map beside it, ready to be zipped.
import { readdir, rm } from 'node:fs/promises'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url).pathname
const names = (await readdir(`${root}functions`)).map((file) => file.replace(/\.ts$/, ''))

await rm(`${root}dist`, { recursive: true, force: true })
const result = await build({
  entryPoints: names.map((name) => ({ in: `${root}functions/${name}.ts`, out: `${name}/index` })),
  outdir: `${root}dist`,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  mainFields: ['module', 'main'], // the CommonJS builds of the AWS SDK call require(), which an ES module does not have
  minify: true,
  keepNames: true,
  sourcemap: true,
  metafile: true,
  // Some dependencies are CommonJS all the same.
  banner: {
    js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
  },
})

for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) {
  if (file.endsWith('.mjs')) console.log(`${file}  ${Math.round(bytes / 1024)} KiB`)
}
