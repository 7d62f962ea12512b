import { relative } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'

/** After a run, names every test that failed first and held when it was tried again, with what it had failed with. */
export class SecondTry implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const told = modules.flatMap(({ children, relativeModuleId }) =>
      [...children.allTests('passed')]
        .filter((test) => (test.diagnostic()?.retryCount ?? 0) > 0)
        .map((test) => ({ test, file: relativeModuleId, errors: test.result().errors ?? [] })),
    )
    if (told.length === 0) return
    console.log(`Held at the second try alone (${told.length}): a race, of the test or of what it tries`)
    for (const { test, file, errors } of told) {
      console.log(`  ${file}: ${test.fullName}`)
      for (const { message, stacks } of errors) {
        const [first] = stacks ?? []
        console.log(`    ${message}${first ? ` (${relative(process.cwd(), first.file)}:${first.line})` : ''}`)
      }
    }
  }
}
