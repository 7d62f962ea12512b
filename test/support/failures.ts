import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node'
import type { Failure } from '../../scripts/second-try.ts'
import { asFound } from './trust.ts'

/** After a run, writes what failed into the file that TEST_FAILURES names, for those who try it once more. */
export class Failures implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: string): void {
    const file = process.env.TEST_FAILURES
    // What was interrupted is not judged, and an error that belongs to no test can be tried again with none.
    if (file === undefined || reason !== 'failed' || unhandled.length > 0) return
    const failures = modules
      .filter((module) => module.state() === 'failed')
      .flatMap((module): Failure[] => {
        const failed = [...module.children.allTests('failed')]
        const suites = [module, ...module.children.allSuites()].filter((suite) => suite.errors().length > 0)
        return [
          ...failed.map((test) => failureOf(module, test, test.result().errors ?? [], isFinding(test))),
          ...suites.map((suite) => failureOf(module, suite, suite.errors(), false)),
        ]
      })
    writeFileSync(file, JSON.stringify(failures))
  }
}

type Errors = ReturnType<TestModule['errors']>

function failureOf(
  module: TestModule,
  failed: TestCase | TestSuite | TestModule,
  errors: Readonly<Errors>,
  finding: boolean,
): Failure {
  return {
    file: module.relativeModuleId,
    test: 'fullName' in failed ? failed.fullName : 'the file itself',
    errors: errors.map(({ message, stacks }) => {
      const [first] = stacks ?? []
      return `${message}${first ? ` (${relative(process.cwd(), first.file)}:${first.line})` : ''}`
    }),
    isFinding: finding,
  }
}

/** Whether it draws its rounds: another try has others, so that it says nothing of what this one found. */
function isFinding(test: TestCase): boolean {
  const errors = test.result().errors ?? []
  return (
    test.tags.some((tag) => asFound.tags.includes(tag)) ||
    errors.some(({ message }) => message.startsWith('Property failed'))
  )
}
