import { copyFile, mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const source = fileURLToPath(new URL('../console/', import.meta.url))

/** Bundles the page into `folder`: index.html, app.js and app.css, and nothing else that would have to be fetched. */
export async function buildConsole(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await build({
    entryPoints: [
      { in: `${source}main.tsx`, out: 'app' },
      { in: `${source}app.css`, out: 'app' },
    ],
    outdir: folder,
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: ['chrome123', 'firefox120', 'safari17.5'], // the first ones that know light-dark()
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    charset: 'utf8', // as it is served; escapes are longer
  })
  await copyFile(`${source}index.html`, `${folder}/index.html`)
}
