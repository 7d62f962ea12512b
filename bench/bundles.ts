import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { namesOfFunctions } from '../local/functions.ts'
import { timed } from './peers/command.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

export type Bundles = { functions: readonly string[]; bundleOf: (name: string) => string }

/**
 * Builds the functions as they are deployed, unless a folder of built ones is given.
 * @param own a folder that nobody else builds into: dist/ may be written again while it is measured
 */
export async function buildBundles(dist: string | undefined, own: string): Promise<Bundles> {
  const folder = resolve(dist ?? own)
  if (dist === undefined)
    await timed('"$NODE" "$SCRIPT" "$FOLDER"', {
      NODE: process.execPath,
      SCRIPT: join(root, 'scripts/build.ts'),
      FOLDER: folder,
    })
  return { functions: await namesOfFunctions(), bundleOf: (name) => join(folder, name, 'index.mjs') }
}

/** KiB of each bundle. */
export async function sizesOf({ functions, bundleOf }: Bundles): Promise<Record<string, number>> {
  const sizes = functions.map(async (name) => [name, (await stat(bundleOf(name))).size / 1024] as const)
  return Object.fromEntries(await Promise.all(sizes))
}
