// Loaded with `node --import` before the rest. To follow an import, Node looks for the file and for the package.json
// that says what kind of module it is; drizzle-orm's has 180 KB and is parsed anew each time: half a second in every
// process. Our modules, drizzle's and zod's import each other by relative paths whose endings say it all, so they need
// no look. The Lambdas need none of this: they are bundled. This file is JavaScript because what strips TypeScript takes
// 0.07 s to load, and nothing else needs it once all is compiled.
import { enableCompileCache, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url).href
const libraries = `${root}node_modules/`
const plain = [`${libraries}drizzle-orm/`, `${libraries}zod/`]

// What was compiled once, TypeScript stripped of its types included, is not compiled again. npm ci clears it away.
enableCompileCache(fileURLToPath(`${libraries}.cache/compiled`))

registerHooks({
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
