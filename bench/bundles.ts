import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { namesOfFunctions } from '../local/functions.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

/** Builds the functions as they are deployed, unless a folder of built ones is given. @returns where each one's bundle is */
export async function buildBundles(dist: string | undefined): Promise<(name: string) => string> {
  if (dist === undefined) await promisify(execFile)(process.execPath, [join(root, 'scripts/build.ts')])
  const folder = dist === undefined ? join(root, 'dist') : resolve(dist)
  const bundleOf = (name: string) => join(folder, name, 'index.mjs')
  for (const name of await namesOfFunctions()) await stat(bundleOf(name))
  return bundleOf
}
