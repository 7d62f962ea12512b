// What `npm test` runs after the check. Its arguments are vitest's.
import { runTests } from './second-try.ts'

process.exitCode = await runTests([], process.argv.slice(2))
