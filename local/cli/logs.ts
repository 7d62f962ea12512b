import { Console } from 'node:console'

/**
 * Sends what the handlers log to stderr, where it mixes with no document. To be called before a handler is loaded.
 * @param level what is logged when LOG_LEVEL is not set
 */
export function logToStderr(level: 'WARN' | 'SILENT'): void {
  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr })
  process.env.POWERTOOLS_DEV ??= 'true' // makes the logger use the console of this process
  process.env.LOG_LEVEL ||= level
}
