import type { ExitCode } from './exit-code.ts'

/** What a command answers: `document` with --json, else `text`. */
export type Answer = { document: unknown; text: string; code: ExitCode }
