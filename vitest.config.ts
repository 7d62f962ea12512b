import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres.ts'],
    // Processes, not threads: each test file's stack puts its addresses into process.env.
    pool: 'forks',
    // More than a few stacks at once only make each other, and the time limits in the tests, slower.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Many tests race real processes against each other; on a shared runner one may lose by bad luck, twice it does not.
    retry: process.env.CI ? 1 : 0,
  },
})
