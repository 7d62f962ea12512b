// Loaded with `node --import` before the rest. To follow an import, Node looks for the file and for the package.json
// that says what kind of module it is; drizzle-orm's has 180 KB and is parsed anew each time: half a second in every
// process. Our modules, drizzle's and zod's import each other by relative paths whose endings say it all, so they need
// no look. The Lambdas need none of this: they are bundled. This file is JavaScript because what strips TypeScript takes
// 0.07 s to load, and nothing else needs it once all is compiled.
// See docs/decisions.md#quick-loadmjs-spares-node-a-packagejson.
import * as module from 'node:module'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url).href
const libraries = `${root}node_modules/`
const plain = [`${libraries}drizzle-orm/`, `${libraries}zod/`]

// Started past npm, this may be an older Node, which can neither read TypeScript nor do what follows.
if (Number(process.versions.node.split('.')[0]) < 24) await goOnWithOurs()

// What was compiled once, TypeScript stripped of its types included, is not compiled again. npm ci clears it away.
module.enableCompileCache(fileURLToPath(`${libraries}.cache/compiled`))

module.registerHooks({
  resolve(specifier, context, nextResolve) {
    const format = specifier.startsWith('.') ? formatOf(specifier, context.parentURL ?? '') : undefined
    if (format === undefined) return nextResolve(specifier, context)
    return { url: new URL(specifier, context.parentURL).href, format, shortCircuit: true }
  },
})

/**
 * What kind of module a relative path leads to; undefined where Node has to look.
 * @param {string} path
 * @param {string} importer
 */
function formatOf(path, importer) {
  if (path.endsWith('.js') && plain.some((folder) => importer.startsWith(folder))) return 'module'
  const isOurs = importer.startsWith(root) && !importer.startsWith(libraries)
  return isOurs && path.endsWith('.ts') ? 'module-typescript' : undefined
}

/** Has the Node that is installed with the other packages do it all, and ends with it. */
async function goOnWithOurs() {
  const { existsSync } = await import('node:fs')
  const programs = ['bin/node', 'bin/node.exe'].map((name) => fileURLToPath(`${libraries}node/${name}`))
  const program = programs.find((file) => existsSync(file))
  if (program === undefined) {
    process.stderr.write(
      `This needs Node 24, and runs on ${process.version}. Run npm ci, which installs it here.\n`,
    )
    process.exit(2)
  }
  const { spawn } = await import('node:child_process')
  const child = spawn(program, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  await new Promise(() => {
    child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)))
  })
}
