import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { environment, useResetStack } from '../e2e/reset-stack.ts'
import { dump } from './dump.ts'
import { makeTorture, tortureSchemas } from './torture.ts'

const reset = useResetStack()

beforeAll(async () => {
  process.env.DATABASE_SCHEMAS = JSON.stringify(tortureSchemas)
  await makeTorture(reset.stack.sql, reset.stack.admin)
  await reset.succeed({ operation: 'claim', confirm: environment })
}, 60_000)
afterAll(() => {
  delete process.env.DATABASE_SCHEMAS
})

describe('a database of everything that Postgres allows', () => {
  it('is, after a reset and a restore by the role that owns it, exactly what it was', async () => {
    const { admin } = reset.stack
    await reset.stack.sql.query('ALTER TABLE elsewhere.watchers DROP CONSTRAINT watchers_author_fkey')
    const before = await dump(admin)
    const wiped = await reset.succeed({
      operation: 'reset',
      strategy: 'database-only',
      rehearse: true,
      confirm: environment,
    })
    expect((await dump(admin))['app.authors']).toEqual([])
    const restored = await reset.succeed({
      operation: 'restore',
      backupId: wiped.backupId,
      confirm: environment,
    })
    expect(restored.targets.database.state).toBe('restored')
    expect(await dump(admin)).toEqual(before)
  }, 60_000)
})
