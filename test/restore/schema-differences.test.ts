import { describe, expect, it } from 'vitest'
import type { Backup } from '../../lib/backup/read.ts'
import type { BackedUpTable, Column } from '../../lib/backup/sections/database.ts'
import { changesOf, refuseChanges } from '../../lib/database/catalog/changes.ts'
import { schemaDifferences } from '../../lib/database/catalog/schema-differences.ts'
import type { Table } from '../../lib/database/catalog/table.ts'
import { bytesHeld } from '../../lib/database/locks/duration.ts'
import { leaveOut, warnOfLaterTables } from '../../lib/database/plan/exclusions.ts'
import { named } from '../../lib/database/plan/restore-rights.ts'
import { refuseDifferences } from '../../lib/database/row-differences.ts'
import { BackupIsStale, InvalidRequest, RehearsalFailed } from '../../lib/errors.ts'

const column = (name: string, more: Partial<Column> = {}): Column => ({
  ...{ name, type: 'integer', asText: false, notNull: false, hasDefault: false, generated: '', identity: '' },
  ...more,
})
const part = { shard: 0, pages: { from: 0, to: null }, rows: 2, fingerprint: '7', key: 'k', sha256: null }
const backedUp = (name: string, columns: Column[] = [column('id')]): BackedUpTable => ({
  ...{ name: `public.${name}`, schema: 'public', table: name, oid: 1, columns, rows: 2, fingerprint: '7' },
  parts: [{ ...part, bytes: 10, plain: 100 }],
})
const live = (name: string, columns: Column[] = [column('id')]) =>
  ({ ...backedUp(name, columns), parents: [], partitions: [], partitioned: false }) as unknown as Table
const sequence = (name: string) => ({ name: `public.${name}`, schema: 'public', table: name })
const held = (name: string) => ({ ...sequence(name), sequence: name, lastValue: '1', isCalled: true })
const many = (count: number) => Array.from({ length: count }, (_, index) => `t${index}`)

describe('between the columns of a backup and those of today', () => {
  const differences = (then: Column[], now: Column[]) =>
    schemaDifferences(
      { tables: [backedUp('t', then)], sequences: [] },
      { tables: [live('t', now)], sequences: [] },
    )

  it('a type of the application that is written as text by now is none: ranges of its domains were not, once', () => {
    const range = { type: 'public.r' }
    expect(differences([column('a', range)], [column('a', { ...range, asText: true })]).blocking).toEqual([])
    const back = differences([column('a', { ...range, asText: true })], [column('a', range)])
    expect(back.blocking).toEqual(['the type public.r of the column public.t.a is another one now'])
  })

  it('a table that is partitioned by now takes no rows, though its columns are the same', () => {
    const now = { ...live('t'), partitioned: true }
    const { blocking } = schemaDifferences(
      { tables: [backedUp('t')], sequences: [] },
      { tables: [now], sequences: [] },
    )
    expect(blocking).toEqual([expect.stringMatching(/^the table public\.t is partitioned now/)])
  })

  it.each([
    ['one is gone', column('a'), [], 'the column public.t.a does not exist any more'],
    [
      'one has another type',
      column('a'),
      [column('a', { type: 'text' })],
      'public.t.a was integer and is text now',
    ],
    [
      'a type of that name is another one',
      column('a'),
      [column('a', { asText: true })],
      'the type integer of the column public.t.a is another one now',
    ],
    [
      'one is generated now',
      column('a'),
      [column('a', { generated: 's' })],
      'public.t.a was not generated and is now',
    ],
    [
      'one is generated no more',
      column('a', { generated: 's' }),
      [column('a')],
      'public.t.a was generated and is not now',
    ],
    [
      'one came that may not be empty',
      column('a'),
      [column('a'), column('b', { notNull: true })],
      'public.t.b came later, may not be null and has no default',
    ],
  ])('it blocks a restore when %s', (_, then, now, says) => {
    const { blocking, tolerated } = differences([then], now)
    expect([blocking, tolerated]).toEqual([[expect.stringContaining(says)], []])
  })

  it.each([
    ['may be empty', {}],
    ['has a default', { notNull: true, hasDefault: true }],
    ['is generated', { notNull: true, generated: 's' }],
    ['is an identity', { notNull: true, identity: 'd' }],
  ])('it is allowed that one came which %s, and it is named', (_, more) => {
    expect(differences([column('a')], [column('a'), column('b', more)])).toEqual({
      ...{ blocking: [], missing: [], tolerated: ['public.t.b'] },
    })
  })

  it('nothing else is a difference: whether one may be empty, has a default, is stored or virtual', () => {
    const [then, now] = [
      column('a', { generated: 's' }),
      column('a', { generated: 'v', notNull: true, hasDefault: true }),
    ]
    expect(differences([then], [now])).toEqual({ blocking: [], missing: [], tolerated: [] })
  })
})

it('tables and sequences that are gone are named as what a restore can leave out', () => {
  const { blocking, missing } = schemaDifferences(
    { tables: [backedUp('gone'), backedUp('here')], sequences: [held('lost'), held('kept')] },
    { tables: [live('here')], sequences: [sequence('kept')] as never },
  )
  expect(missing).toEqual(['public.gone', 'public.lost'])
  expect(blocking).toHaveLength(2)
})

describe('of a backup of which something is left out', () => {
  const database = {
    tables: [backedUp('a'), backedUp('b'), backedUp('c')],
    sequences: [held('a_id'), held('b_id')],
  }
  const backup = { backupId: 'id', database: { ...database, rows: 6, bytes: 30 } } as unknown as Backup

  it('rows, bytes, tables and sequences are those of the rest', () => {
    expect(leaveOut(backup, ['public.b', 'public.b_id']).database).toMatchObject({
      ...{
        rows: 4,
        bytes: 20,
        tables: [{ name: 'public.a' }, { name: 'public.c' }],
        sequences: [{ name: 'public.a_id' }],
      },
    })
    expect(leaveOut(backup, [])).toBe(backup)
  })

  it('a name that it does not hold is refused, also when it holds no database', () => {
    expect(() => leaveOut(backup, ['public.b', 'public.x'])).toThrow(/does not hold public\.x, so/)
    expect(() => leaveOut({ ...backup, database: null }, ['public.b'])).toThrow(InvalidRequest)
  })
})

describe('a long list', () => {
  it('of tables that came later is cut, with how many more; those without rows and partitioned ones are not in it', () => {
    const backup = { database: { tables: [backedUp('t0')], sequences: [] } } as unknown as Backup
    const table = (name: string, more = {}) => ({
      name: `public.${name}`,
      partitioned: false,
      parents: [],
      ...more,
    })
    const counted = many(24).map((name) => ({ table: table(name), rows: 1 }))
    const others = [
      { table: table('empty'), rows: 0 },
      { table: table('above', { partitioned: true }), rows: 3 },
    ]
    const [warning] = warnOfLaterTables(backup, [...counted, ...others])
    expect(warning?.message).toMatch(/public\.t1 \(1 row\), .* public\.t20 \(1 row\) and 3 more$/)
    expect(warning?.message).not.toMatch(/t21|t0 |empty|above/)
    expect(warnOfLaterTables(backup, others)).toEqual([])
  })

  it('of tables whose rows came out otherwise is cut, with how many more, and says what to do', () => {
    const of =
      (count: number, where: 'loaded' | 'live' = 'loaded') =>
      () =>
        refuseDifferences(
          many(count).map((what) => ({ what })),
          where,
        )
    expect(of(0)).not.toThrow()
    expect(of(20)).toThrow(/; t19\. /)
    expect(of(22)).toThrow(RehearsalFailed)
    expect(of(22)).toThrow(/t18; t19; and 2 more\. The live tables were not touched/)
    expect(of(1, 'live')).toThrow(/t0\. Nothing was changed\. .* an event trigger .* leave these tables out/)
  })

  it('of tables that a migration changed is cut, with how many more', () => {
    const of = (count: number) => () => refuseChanges(many(count))
    expect(of(0)).not.toThrow()
    expect(of(20)).toThrow(/; t19\. Nothing was wiped/)
    expect(of(22)).toThrow(BackupIsStale)
    expect(of(22)).toThrow(/t18; t19 and 2 more\. Nothing was wiped/)
  })

  it('of objects that a role may not replace is cut, with how many more', () => {
    expect([named(many(2)), named(many(10)), named(many(12))]).toEqual([
      't0, t1',
      many(10).join(', '),
      `${many(10).join(', ')} and 2 more`,
    ])
  })
})

it('a table is the one that was read when it has its oid and its columns, whatever else changed', () => {
  const now = { tables: [live('t'), live('other')] }
  const was = live('t')
  expect(changesOf(now, [was])).toEqual([])
  for (const other of [
    { ...was, oid: 2 },
    { ...was, columns: [column('id', { type: 'bigint' })] },
    live('gone'),
  ])
    expect(changesOf(now, [other])).toEqual([`${other.name} was dropped, replaced or altered`])
})

it('a restore is about the bytes of rows, and where a first version did not note them, about those in S3', () => {
  const { plain: _, ...old } = backedUp('b').parts[0]!
  expect(bytesHeld([backedUp('a'), { ...backedUp('b'), parts: [old] }])).toBe(110)
})
