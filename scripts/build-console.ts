import { copyFile, mkdir, readdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chunkName } from '../lib/http/routes/page.ts'

const source = fileURLToPath(new URL('../console/', import.meta.url))

/**
 * Bundles the page into `folder`: index.html, app.js and app.css, and a chunk for each view that is fetched when it is
 * opened for the first time.
 */
export async function buildConsole(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const file of await readdir(folder)) if (chunkName.test(file)) await rm(`${folder}/${file}`) // of another build
  await build({
    entryPoints: [
      { in: `${source}main.tsx`, out: 'app' },
      { in: `${source}app.css`, out: 'app' },
    ],
    outdir: folder,
    bundle: true,
    platform: 'browser',
    format: 'esm',
    splitting: true,
    chunkNames: 'chunk-[hash]',
    target: ['chrome123', 'firefox120', 'safari17.5'], // the first ones that know light-dark()
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    charset: 'utf8', // as it is served; escapes are longer
  })
  await copyFile(`${source}index.html`, `${folder}/index.html`)
}
