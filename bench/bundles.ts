import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { namesOfFunctions } from '../local/functions.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

export type Bundles = { functions: readonly string[]; bundleOf: (name: string) => string }

/** Builds the functions as they are deployed, unless a folder of built ones is given. */
export async function buildBundles(dist: string | undefined): Promise<Bundles> {
  if (dist === undefined) await promisify(execFile)(process.execPath, [join(root, 'scripts/build.ts')])
  const folder = dist === undefined ? join(root, 'dist') : resolve(dist)
  return { functions: await namesOfFunctions(), bundleOf: (name) => join(folder, name, 'index.mjs') }
}

/** KiB of each bundle. */
export async function sizesOf({ functions, bundleOf }: Bundles): Promise<Record<string, number>> {
  const sizes = functions.map(async (name) => [name, (await stat(bundleOf(name))).size / 1024] as const)
  return Object.fromEntries(await Promise.all(sizes))
}
