import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../../local/packages/programs.ts'

/** Where `npm run chromium` puts one. npm ci clears it away. @see docs/decisions.md#chromium-is-fetched-when-it-is-asked-for */
export const chromiumCache = fileURLToPath(new URL('../../node_modules/.cache/chromium', import.meta.url))

/**
 * What CHROMIUM_PATH names, else the system's Chromium, else one that was fetched; undefined when there is none, or
 * CHROMIUM_PATH=none says not to look.
 */
export function chromiumOf({ CHROMIUM_PATH, PATH = '' }: NodeJS.ProcessEnv): string | undefined {
  if (CHROMIUM_PATH === 'none') return undefined
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  return CHROMIUM_PATH || findProgram(names, PATH) || findProgram(names, join(chromiumCache, 'bin'))
}
