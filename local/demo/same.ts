import { deepStrictEqual } from 'node:assert'

/** @throws Error naming what is not as it should be */
export function same(what: string, actual: unknown, expected: unknown): void {
  deepStrictEqual(
    actual,
    expected,
    new Error(`${what}: found ${JSON.stringify(actual)}, where it should be ${JSON.stringify(expected)}`),
  )
}
