import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'
import { findServer, howToInstall } from '../../local/cache/redis.ts'
import { chromiumOf } from './chromium.ts'
import { inFullForm } from './trust.ts'

/** After a run, names every test that was skipped, and says why; those of the full form it counts. Those that nobody asked for (`-t`) are not among them. */
export class LeftOut implements Reporter {
  #wanted: RegExp | undefined

  onInit({ config }: Vitest): void {
    this.#wanted = config.testNamePattern
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const left = new Map<string, TestCase[]>()
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        if (this.#wanted?.test(test.fullName.replaceAll(' > ', ' ')) === false) continue
        const reason = reasonOf(test)
        left.set(reason, [...(left.get(reason) ?? []), test])
      }
    }
    for (const [reason, tests] of left) {
      console.log(`Left out (${tests.length}): ${reason}`)
      if (reason === onlyFull) continue // npm run trust tells them all
      for (const { module, fullName } of tests) console.log(`  ${module.relativeModuleId}: ${fullName}`)
    }
  }
}

const onlyFull = 'Only the full form of the long proofs has them: npm run trust'

/** What a test gave as its reason when it skipped itself, else what its file needs. */
function reasonOf(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  if (test.fullName.includes(inFullForm)) return onlyFull
  if (test.module.relativeModuleId.startsWith('test/console/') && chromiumOf(process.env) === undefined)
    return `There is no Chromium to try the page in. ${chromiumAdvice}`
  if (findServer() !== undefined) return 'Its file skips it on this machine, and gives no reason'
  return `There is no Redis server, and ioredis-mock cannot do what these need. ${howToInstall()}`
}

const chromiumAdvice =
  process.platform === 'linux'
    ? 'On Debian, npm run chromium fetches one, without root (200 MB); else install it, or name one in CHROMIUM_PATH'
    : 'Install Chrome or Chromium and name its program in CHROMIUM_PATH'
