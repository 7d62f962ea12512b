import { inject, type TestContext } from 'vitest'

/** The major version of the server that all tests share: of the installed one, or of that in `POSTGRES_PROGRAMS`. */
export const postgresMajor = inject('postgresMajor')

/** Leaves a test out, and says why, where the server does not have yet what it is of. */
export function skipBefore(version: number, what: string, { skip }: Pick<TestContext, 'skip'>): void {
  skip(
    postgresMajor < version,
    `PostgreSQL has ${what} since version ${version}, and these tests run on ${postgresMajor}`,
  )
}
