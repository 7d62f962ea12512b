// Loaded with `node --import` before the rest. drizzle-orm's package.json has 180 KB, and Node parses it anew for each of
// the two hundred modules of drizzle that import each other: half a second in every process. Their imports are plain
// relative paths, so they need no look into it. The Lambdas need none of this: they are bundled.
import { enableCompileCache, registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

// What was compiled once, TypeScript stripped of its types included, is not compiled again. npm ci clears it away.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)))

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isWithin = specifier.startsWith('.') && context.parentURL?.includes('/node_modules/drizzle-orm/')
    if (!isWithin) return nextResolve(specifier, context)
    return { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
  },
})
