import { beforeAll, describe, expect, test } from 'vitest'
import { inFullForm, isFull } from '../support/trust.ts'
import { environment, useResetStack } from './reset-stack.ts'

const reset = useResetStack()
const backingUp = { operation: 'backup', rehearse: true } as const

beforeAll(() => reset.seed({ users: 200, files: 3, keys: 4 }))

describe('the next backup', () => {
  test.runIf(isFull)(
    `takes over what has not changed, says how much, and is whole when the others are gone ${inFullForm}`,
    async () => {
      const first = await reset.succeed(backingUp)
      expect(first.targets.database.takenOver).toBeUndefined()
      const { rows } = first.targets.database
      const second = await reset.succeed(backingUp)
      expect(second.targets.database).toMatchObject({ state: 'backed_up', rows })
      expect(second.targets.database.takenOver).toMatchObject({ backupId: first.backupId, rows })
      await reset.stack.sql.query(`UPDATE users SET name = 'another' WHERE id = 7`)
      const third = await reset.succeed(backingUp)
      const taken = third.targets.database.takenOver?.rows ?? 0
      expect([taken > 0, taken < rows]).toEqual([true, true])
      const print = (await reset.fingerprint()).database
      for (const { backupId } of [first, second])
        await reset.succeed({ operation: 'delete', backupId, confirm: environment })
      await reset.stack.sql.query('DELETE FROM stories; UPDATE users SET name = reverse(name)')
      await reset.succeed({
        operation: 'restore',
        backupId: third.backupId,
        confirm: environment,
        safetyBackup: false,
      })
      expect((await reset.fingerprint()).database).toEqual(print)
    },
  )

  test.runIf(isFull)(`takes nothing over when the request says so ${inFullForm}`, async () => {
    await reset.succeed(backingUp)
    const { targets } = await reset.succeed({ ...backingUp, takeOver: false })
    expect(targets.database.takenOver).toBeUndefined()
  })

  test.runIf(isFull)(`of a restore is told with how much it took over ${inFullForm}`, async () => {
    const before = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
    await reset.stack.sql.query(`UPDATE users SET name = reverse(name) WHERE id = 7`)
    const { backupId, targets } = await reset.succeed({
      operation: 'restore',
      backupId: before.backupId,
      confirm: environment,
    })
    const held = (await reset.manifestOf(backupId)).database
    const { rows, bytes } = held!.takenOver!
    const exported = held!.rows - rows
    expect(exported).toBeGreaterThan(0)
    expect(targets.database).toMatchObject({
      state: 'restored',
      takenOver: { backupId: before.backupId, rows, exported, bytes },
    })
  })

  test('of a reset takes over as well, and the outcome tells it apart from what was wiped', async () => {
    const before = await reset.succeed({ operation: 'backup', strategy: 'database-only' })
    const { backupId, targets } = await reset.succeed({
      operation: 'reset',
      strategy: 'database-only',
      confirm: environment,
      preserve: { tables: ['public.users'] },
    })
    const { database } = await reset.manifestOf(backupId)
    expect(database?.takenOver?.backupId).toBe(before.backupId)
    const rows = database?.rows ?? 0
    expect(database?.takenOver?.rows).toBe(rows)
    expect(targets.database.rows).toBeLessThan(rows) // the users are in the backup, and stay
    expect(targets.database.takenOver).toMatchObject({ backupId: before.backupId, rows, exported: 0 })
  })
})
