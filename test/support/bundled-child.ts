import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll } from 'vitest'

/**
 * A process of its own for what is measured: the storage of the stack keeps all objects in the memory of this one.
 * Bundled as for Lambda, as Node's own compiler for TypeScript takes more memory than an export.
 * @param source a script that writes one JSON document to stdout
 */
export function useBundledChild(source: URL) {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'taskmaster-memory-'))
    await build({
      entryPoints: [fileURLToPath(source)],
      outfile: join(folder, 'child.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      mainFields: ['module', 'main'],
      banner: {
        js: "import{createRequire as createRequireOfBanner}from'node:module';const require=createRequireOfBanner(import.meta.url);",
      },
    })
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  return async (args: string[], env: Record<string, string> = {}) => {
    const command = [join(folder, 'child.mjs'), ...args]
    const options = { env: { ...process.env, LOG_LEVEL: 'SILENT', ...env } }
    return JSON.parse((await promisify(execFile)(process.execPath, command, options)).stdout)
  }
}
