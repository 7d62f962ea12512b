import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { machine } from './needs.ts'

/**
 * A folder that is the project to whoever works in it, so that what a document has one type can be typed as it stands, and
 * what the commands leave in their folder is nobody's.
 * @see docs/decisions.md#readmes-commands-are-run-as-they-are-printed
 */
export async function makeCheckout(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const project = fileURLToPath(new URL('../../', import.meta.url))
  const folder = await mkdtemp(join(tmpdir(), 'checkout-'))
  for (const name of await readdir(project)) {
    if (!['.git', '.env', '.taskmaster-dev.json'].includes(name))
      await symlink(join(project, name), join(folder, name))
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Has a shell carry out commands in that folder, as if they were pasted; but the first that fails ends it. */
export function paste(
  commands: string,
  folder: string,
  env: Record<string, string> = {},
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn('bash', ['-e', '-o', 'pipefail', '-c', commands], {
    cwd: folder,
    // What npm does before a script, and npx by the program, is to install; other tests run on these packages.
    env: { ...machine, HOME: process.env.HOME, npm_config_ignore_scripts: 'true', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
