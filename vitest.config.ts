import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres.ts'],
    // Processes, not threads: each test file's stack puts its addresses into process.env, until it stops.
    pool: 'forks',
    execArgv: ['--import', new URL('local/quick-load.ts', import.meta.url).href],
    // Files that come after each other in a process share its modules: loading them costs a second and more each time.
    isolate: false,
    // A test waits for its stack half of the time.
    maxWorkers: 4,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Many tests race real processes against each other; on a shared runner one may lose by bad luck, twice it does not.
    retry: process.env.CI ? 1 : 0,
  },
})
