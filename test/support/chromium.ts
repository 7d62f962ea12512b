import { findProgram } from '../../local/programs.ts'

/** A system's Chromium, or what CHROMIUM_PATH names; undefined when there is none, or CHROMIUM_PATH=none says not to look. */
export function chromiumOf({ CHROMIUM_PATH, PATH = '' }: NodeJS.ProcessEnv): string | undefined {
  if (CHROMIUM_PATH === 'none') return undefined
  return CHROMIUM_PATH || findProgram(['chromium', 'chromium-browser', 'google-chrome'], PATH)
}
