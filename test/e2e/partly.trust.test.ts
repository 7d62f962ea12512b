import { beforeEach, describe, expect, it } from 'vitest'
import { inFullForm, isFull } from '../support/trust.ts'
import { environment, useResetStack, withVariables } from './reset-stack.ts'
import { warned } from './strange-database.ts'

const reset = useResetStack()
let baseline: string | null

beforeEach(async ({ skip }) => {
  if (!isFull) skip()
  await reset.seed({ users: 10, files: 2, keys: 2 })
  await reset.stack.sql.query(`DROP TABLE IF EXISTS replies, topics; CREATE TABLE topics (id serial PRIMARY KEY, title text);
    CREATE TABLE replies (id serial PRIMARY KEY, topic int REFERENCES topics ON DELETE CASCADE); INSERT INTO topics (title) VALUES ('a'), ('b');
    INSERT INTO replies (topic) VALUES (1), (2)`)
  baseline = (await reset.succeed({ operation: 'backup', rehearse: false })).backupId
  await reset.stack.sql.query(`UPDATE topics SET title = 'changed'; INSERT INTO topics (title) VALUES ('new');
    DELETE FROM events WHERE what < 'login 4'`)
  await reset.put('generated_stories/day.txt', 'of the day')
  await reset.stack.redis.set('day', 'of the day')
})

const back = (more = {}) => ({
  operation: 'reset',
  strategy: 'full',
  to: baseline,
  rehearse: false,
  confirm: environment,
  ...more,
})
const tables = async () => (await reset.fingerprint()).database

describe('a reset to a baseline', () => {
  it(`keeps the tables that are preserved, with their sequences, by configuration and request; all else is the baseline ${inFullForm}`, async () => {
    const before = await tables()
    const dry = await reset.succeed(back({ dryRun: true, preserve: { tables: ['topics'] } }))
    expect(warned(dry, 'KeysCrossSelection')).toContain('public.replies refers to public.topics')
    expect(await tables()).toEqual(before)
    const kept = (name: string) => /topics|replies/.test(name)
    await withVariables({ PRESERVE_TABLES: '["replies"]' }, async () => {
      const outcome = await reset.succeed(back({ preserve: { tables: ['topics'] } }))
      expect([outcome.error, warned(outcome, 'KeysCrossSelection')]).toEqual([null, ''])
    })
    const after = await tables()
    for (const name of Object.keys(before).filter(kept))
      expect([name, after[name]]).toEqual([name, before[name]])
    const { rows } = await reset.stack.sql.query('SELECT count(*)::int AS events FROM events')
    expect(rows).toEqual([{ events: 10 }])
  })

  it(`changes nothing, no file and no key either, where a row that stays would lose its parent, or one that comes back would lack it ${inFullForm}`, async () => {
    await reset.stack.sql.query('INSERT INTO replies (topic) VALUES (3)')
    const before = await reset.fingerprint()
    const foretold = async (request: object) => (await reset.succeed({ ...request, dryRun: true })).refusal
    expect(await foretold(back({ preserve: { tables: ['replies'] } }))).toEqual({
      name: 'PreservationConflict',
      message: expect.stringMatching(
        /^1 row that stays of public\.replies would refer to no row of public\.topics \(.*\)\. .*preserve public\.topics, too, or do not/,
      ),
    })
    expect(await foretold(back({ preserve: { tables: ['replies', 'topics'] } }))).toBe(null)
    const lost = await reset.run(back({ preserve: { tables: ['replies'] } }))
    expect(lost).toMatchObject({ status: 'FAILED', error: 'PreservationConflict' })
    expect(lost.cause).toMatch(
      /1 row of public\.replies, which stays.*preserve public\.topics, too, or do not/,
    )
    expect(await reset.fingerprint()).toEqual(before)
    await reset.stack.sql.query('DELETE FROM topics WHERE id = 1')
    const lacking = await reset.fingerprint()
    const lacks = await reset.run(back({ preserve: { tables: ['topics'] } }))
    expect(lacks).toMatchObject({ status: 'FAILED', error: 'PreservationConflict' })
    expect(lacks.cause).toMatch(/to be put back.*preserve public\.replies, too, or do not/)
    expect(await reset.fingerprint()).toEqual(lacking)
    const some = { operation: 'restore', backupId: baseline, tables: ['replies'], confirm: environment }
    expect(await foretold(back({ preserve: { tables: ['topics'] } }))).toMatchObject({
      name: 'PreservationConflict',
    })
    expect(await foretold(some)).toEqual({
      name: 'ParentsMissing',
      message: expect.stringMatching(
        /^\d rows? that comes? back of public\.replies .*; say "includeParents"/,
      ),
    })
    expect(await reset.run({ ...some, rehearse: false })).toMatchObject({ error: 'ParentsMissing' })
    expect(await reset.fingerprint()).toEqual(lacking)
    const dry = await reset.succeed({ ...some, includeParents: true, dryRun: true })
    expect(dry.difference?.database?.tables.map(({ name }) => name)).toEqual([
      'public.replies',
      'public.topics',
    ])
    const restored = await reset.succeed({ ...some, includeParents: true, rehearse: false })
    expect(restored.targets).toMatchObject({
      database: { state: 'restored', tables: { 'public.replies': 2, 'public.topics': 2 } },
    })
    const { files, cache, database } = await reset.fingerprint()
    expect({ files, cache }).toEqual({ files: lacking.files, cache: lacking.cache })
    expect(database['public.events']).toBe(lacking.database['public.events'])
  })

  it(`that is to keep rows of a table by a condition is refused by name, a dry run as well ${inFullForm}`, async () => {
    const before = await reset.fingerprint()
    await withVariables({ PRESERVE_ROWS: '{"events":"what = \'login 5\'"}' }, async () => {
      for (const request of [back({ dryRun: true }), back()]) {
        const ended = await reset.run(request)
        expect(ended).toMatchObject({ status: 'FAILED', error: 'PreservationConflict' })
        expect(ended.cause).toMatch(
          /Rows of events are to be kept.*preserve the whole table events.*PRESERVE_ROWS/,
        )
      }
      expect(await reset.fingerprint()).toEqual(before)
      await reset.succeed(back({ preserve: { tables: ['events'] } }))
    })
    expect((await tables())['public.events']).toBe(before.database['public.events'])
  })
})
