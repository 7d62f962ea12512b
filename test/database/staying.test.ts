import { describe, expect, it } from 'vitest'
import { tablesNamed } from '../../lib/database/catalog/named.ts'
import { crossingKeys, warnOfCrossing } from '../../lib/database/plan/actions/crossing-keys.ts'
import { stayingOf } from '../../lib/database/plan/actions/staying.ts'
import { chooseActions } from '../../lib/database/plan/actions/table-actions.ts'
import { InvalidRequest, PreservationConflict } from '../../lib/errors.ts'
import { catalogWith, family, key, sequence, table } from './made-catalog.ts'

const catalog = catalogWith({
  tables: [
    ...['public.users', 'public.posts', 'public.notes', 'app.users', 'public.later'].map((name) =>
      table(name),
    ),
    ...family('public.parts', ['public.parts_1', 'public.parts_2']),
  ],
  unmanaged: [{ name: 'public.schema_migrations', reason: 'keeps the migrations' }],
  foreignKeys: [
    key('public.posts', 'public.users'),
    key('public.notes', 'public.posts'),
    key('public.users', 'public.parts'),
    key('public.parts', 'public.parts'),
  ],
  sequences: [
    sequence('public.users_id_seq', ['public.users']),
    sequence('public.numbers', ['public.users', 'public.posts']),
    sequence('public.parts_id_seq', ['public.parts', 'public.parts_1', 'public.parts_2']),
    sequence('public.free', []),
  ],
})
const held = {
  tables: [
    'public.users',
    'public.posts',
    'public.notes',
    'app.users',
    'public.parts_1',
    'public.parts_2',
    'public.dropped',
  ].map((name) => table(name)),
  sequences: ['public.users_id_seq', 'public.numbers', 'public.parts_id_seq', 'public.free'].map((name) => ({
    name,
  })),
}
const nothing = { tables: [], rows: {}, excluded: [] }

describe('of a reset to a backup', () => {
  const staying = (preserve = {}) =>
    stayingOf(catalog, held, { operation: 'reset-to', preserve: { ...nothing, ...preserve }, selection: {} })

  it('nothing stays, unless it is preserved or excluded: then with the sequences that it uses, also together with others', () => {
    expect(staying()).toEqual([])
    expect(staying({ tables: ['public.users'] })).toEqual([
      'public.users',
      'public.users_id_seq',
      'public.numbers',
    ])
    expect(staying({ tables: ['users'], excluded: ['notes'] })).toEqual([
      ...['public.users', 'public.notes', 'app.users', 'public.users_id_seq', 'public.numbers'],
    ])
  })

  it('partitions stay with their table, or alone; a table that came later stays without being named', () => {
    expect(staying({ tables: ['parts'] })).toEqual([
      'public.parts_1',
      'public.parts_2',
      'public.parts_id_seq',
    ])
    expect(staying({ tables: ['parts_2', 'later'] })).toEqual(['public.parts_2', 'public.parts_id_seq'])
  })

  it('a name that no table has is refused, and so are rows of a table that is put back', () => {
    expect(() => staying({ tables: ['usesr'] })).toThrow(InvalidRequest)
    expect(() => staying({ rows: { users: 'id = 1' } })).toThrow(PreservationConflict)
    expect(() => staying({ rows: { parts: 'id = 1' }, tables: ['parts_1'] })).toThrow(
      /public\.parts_2.*PRESERVE_ROWS/,
    )
    expect(staying({ rows: { later: 'id = 1', parts: 'id = 1' }, tables: ['parts'] })).toContain(
      'public.parts_1',
    )
  })
})

describe('of a restore', () => {
  const staying = (selection: { tables?: string[]; includeParents?: boolean }, excluded: string[]) =>
    stayingOf(catalog, held, { operation: 'restore', preserve: { ...nothing, excluded }, selection })

  it('of all that a backup holds stays what is excluded by now; of some tables it cannot be one, nor a parent that comes with them', () => {
    expect(staying({}, [])).toEqual([])
    expect(staying({}, ['posts', 'parts'])).toEqual([
      ...['public.posts', 'public.parts_1', 'public.parts_2', 'public.numbers', 'public.parts_id_seq'],
    ])
    expect(() => staying({ tables: ['posts'] }, ['posts'])).toThrow(InvalidRequest)
    expect(() => staying({ tables: ['parts'] }, ['parts_2'])).toThrow(/^public\.parts_2 .*EXCLUDE_TABLES/)
    expect(() => staying({ tables: ['notes'], includeParents: true }, ['posts'])).toThrow(InvalidRequest)
    expect(staying({ tables: ['notes'] }, ['posts'])).toContain('public.posts')
  })
})

describe('of a restore of some tables', () => {
  const back = (tables: string[], includeParents = false) => {
    const selection = { tables, includeParents }
    const stays = new Set(stayingOf(catalog, held, { operation: 'restore', preserve: nothing, selection }))
    return [...held.tables, ...held.sequences].map(({ name }) => name).filter((name) => !stays.has(name))
  }

  it('these come back, with the sequences that nothing else uses; also one that is no longer there, which the schema then refuses', () => {
    expect(back(['public.users'])).toEqual(['public.users', 'public.users_id_seq'])
    expect(back(['app.users', 'public.users', 'posts'])).toEqual([
      ...['public.users', 'public.posts', 'app.users', 'public.users_id_seq', 'public.numbers'],
    ])
    expect(back(['parts'])).toEqual(['public.parts_1', 'public.parts_2', 'public.parts_id_seq'])
    expect(back(['parts_1'])).toEqual(['public.parts_1'])
    expect(back(['dropped'])).toEqual(['public.dropped'])
  })

  it('with parents all that their foreign keys lead to comes back, also to the partitions of a table', () => {
    expect(back(['notes'], true)).toEqual([
      ...['public.users', 'public.posts', 'public.notes', 'public.parts_1', 'public.parts_2'],
      ...['public.users_id_seq', 'public.numbers', 'public.parts_id_seq'],
    ])
    expect(back(['parts_1'], true)).toEqual(['public.parts_1', 'public.parts_2', 'public.parts_id_seq'])
  })

  it('a name that the backup does not hold is refused with those that it holds', () => {
    expect(() => back(['posts', 'later'])).toThrow(/does not hold later.*public\.users/)
    expect(() => back(['public.schema_migrations'])).toThrow(InvalidRequest)
  })
})

describe('a name', () => {
  const like = { ...table('app.public.users'), schema: 'app', table: 'public.users' }
  const other = { ...like, name: 'other.public.users', schema: 'other' }

  it('with its schema means that table, and no other one whose own name looks like that', () => {
    const all = { ...catalog, tables: [like, ...catalog.tables] }
    const backup = { ...held, tables: [like, ...held.tables] }
    const asked = {
      ...{ operation: 'restore' as const, preserve: nothing },
      selection: { tables: ['public.users'] },
    }
    expect(stayingOf(all, backup, asked)).toContain('app.public.users')
    const preserve = { ...nothing, tables: ['public.users'] }
    const reset = { operation: 'reset-to' as const, preserve, selection: {} }
    expect(stayingOf(all, backup, reset)).not.toContain('app.public.users')
    const kept = chooseActions({ ...all, foreignKeys: [] }, preserve).tables.filter(
      ({ action }) => action === 'keep',
    )
    expect(kept.map(({ table: { name } }) => name)).toEqual(['public.users'])
    const alone = { ...all, tables: [like, other, table('app.users')] }
    expect([...tablesNamed(alone.tables, ['public.users'])]).toEqual([like, other])
  })

  it('of several tables is refused where it says what is put back, and keeps all of them where it says what stays', () => {
    const asked = {
      ...{ operation: 'restore' as const, preserve: nothing },
      selection: { tables: ['users'] },
    }
    expect(() => stayingOf(catalog, held, asked)).toThrow(InvalidRequest)
    expect(() => stayingOf(catalog, held, asked)).toThrow(
      /^The backup holds several tables users: public\.users, app\.users\. Say in "tables"/,
    )
    const preserve = { ...nothing, tables: ['users'] }
    const reset = { operation: 'reset-to' as const, preserve, selection: {} }
    expect(stayingOf(catalog, held, reset)).toEqual(expect.arrayContaining(['public.users', 'app.users']))
  })
})

describe('keys between what is put back and what stays', () => {
  const crossing = (back: string[], stays: string[]) =>
    crossingKeys(catalog, { back: new Set(back), stays: new Set(stays) })

  it('are named by a dry run in both directions, and by partitions; others are not', () => {
    const named = (back: string[], stays: string[]) => crossing(back, stays).map(({ name }) => name)
    expect(named(['public.posts'], ['public.users', 'public.notes'])).toEqual([
      ...['public.posts to public.users', 'public.notes to public.posts'],
    ])
    expect(named(['public.parts_1'], ['public.users', 'public.parts_2'])).toEqual([
      ...['public.users to public.parts', 'public.parts to public.parts'],
    ])
    expect(named(['public.users', 'public.posts'], ['app.users'])).toEqual([])
    expect(warnOfCrossing([])).toEqual([])
    expect(warnOfCrossing(crossing(['public.posts'], ['public.users']))).toEqual([
      { code: 'KeysCrossSelection', message: expect.stringContaining('public.posts refers to public.users') },
    ])
  })
})
