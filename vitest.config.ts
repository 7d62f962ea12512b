import { defineConfig } from 'vitest/config'
import { Failures } from './test/support/failures.ts'
import { LeftOut } from './test/support/left-out.ts'
import { LongestFirst } from './test/support/longest-first.ts'
import { pureTests } from './test/support/pure.ts'
import { asFound, isFull } from './test/support/trust.ts'

const quiet = 'test/quiet/**/*.test.ts'
const loud = isFull ? 'test/**/*.trust.test.ts' : 'test/**/*.test.ts'
const pure = pureTests(loud)

export default defineConfig({
  test: {
    // Processes, not threads: each test file's stack puts its addresses into process.env, until it stops.
    pool: 'forks',
    execArgv: ['--import', new URL('local/quick-load.mjs', import.meta.url).href],
    // Files that come after each other in a process share its modules: loading them costs a second and more each time.
    // See docs/decisions.md#test-files-share-a-processs-modules.
    isolate: false,
    // Node strips the types itself, once for all processes of a run: Vite would compile each module a second time.
    // See docs/decisions.md#tests-run-the-modules-that-node-loads.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    // The handlers' logger reads it when it is first loaded, by whichever file comes first in a process.
    env: { LOG_LEVEL: 'SILENT' },
    testTimeout: isFull ? 20 * 60_000 : 60_000,
    hookTimeout: isFull ? 10 * 60_000 : 120_000,
    // A second, as it is by default, is a moment on a machine that is shared by six of these processes.
    expect: { poll: { timeout: 20_000 } },
    sequence: { sequencer: LongestFirst },
    reporters: [
      'default',
      ...(process.env.GITHUB_ACTIONS ? ['github-actions'] : []),
      new LeftOut(),
      new Failures(),
    ],
    tags: asFound.tags.map((name) => ({ name, description: 'draws its rounds itself' })),
    projects: [
      {
        extends: true,
        test: { name: 'quiet', include: [quiet], maxWorkers: 1, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        // Nothing is started for it, so that one of these files takes a second.
        test: { name: 'pure', include: pure, maxWorkers: 4, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          include: [loud],
          exclude: [quiet, ...pure],
          globalSetup: ['test/support/postgres.ts'],
          setupFiles: ['test/support/counterexamples.ts'],
          // A test waits for its stack half of the time, and the long proofs for deadlines and servers that ask to slow down.
          maxWorkers: isFull ? 6 : 4,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
