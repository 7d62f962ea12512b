import { describe, expect, it } from 'vitest'
import { checkPermissions } from '../../lib/database/plan/actions/permissions.ts'
import { chooseActions, type Preservation } from '../../lib/database/plan/actions/table-actions.ts'
import { InvalidRequest, NotPermitted, PreservationConflict } from '../../lib/errors.ts'
import { catalogWith, family, key, sequence, table } from './made-catalog.ts'

const nothing: Preservation = { tables: [], rows: {}, excluded: [] }
const shop = catalogWith({
  tables: ['public.customers', 'public.orders', 'public.lines', 'public.products'].map((name) => table(name)),
  unmanaged: [{ name: 'public._prisma_migrations', reason: 'keeps the migrations' }],
  foreignKeys: [
    key('public.orders', 'public.customers'),
    key('public.lines', 'public.orders'),
    key('public.lines', 'public.products'),
  ],
})

function actions(catalog = shop, keep: Partial<Preservation> = {}) {
  const { tables } = chooseActions(catalog, { ...nothing, ...keep })
  return Object.fromEntries(tables.map(({ table, action }) => [table.name, action]))
}

describe('what is kept', () => {
  it('is nothing by default: every managed table is truncated, in whatever order they reference each other', () => {
    expect(new Set(Object.values(actions()))).toEqual(new Set(['truncate']))
  })

  it('may be a table by its full name, or by its bare name in every schema that has it', () => {
    const catalog = catalogWith({ tables: [table('a.users'), table('b.users'), table('a.logs')] })
    const one = { 'a.users': 'keep', 'b.users': 'truncate', 'a.logs': 'truncate' }
    expect(actions(catalog, { tables: ['a.users'] })).toEqual(one)
    expect(actions(catalog, { tables: ['users'] })).toEqual({ ...one, 'b.users': 'keep' })
  })

  it('is left out of the plan altogether when it is excluded', () => {
    const plan = chooseActions(shop, { ...nothing, excluded: ['products'] })
    expect(plan.tables.map((entry) => entry.table.name)).not.toContain('public.products')
  })

  it('is told of each table that is left alone, by its reason, once, and that it was excluded where it was', () => {
    const outside = (name: string, partition: boolean) => ({
      ...{ name, schema: 'other', table: name.slice(6), of: 'public.orders', partition },
      ...{ foreign: false, mayRead: true, pages: 1 },
    })
    const catalog = {
      ...shop,
      unmanaged: [...shop.unmanaged, { name: 'other.both', reason: 'a foreign table' }],
      outside: [outside('other.part', true), outside('other.heir', false), outside('other.both', true)],
    }
    const told = (excluded: string[]) => {
      const plan = chooseActions(catalog, { ...nothing, excluded })
      return [
        plan.unmanaged.map(({ name, reason }) => `${name}: ${reason}`),
        plan.outside.map(({ name }) => name),
      ]
    }
    const [migrations, both] = [
      'public._prisma_migrations: keeps the migrations',
      'other.both: a foreign table',
    ]
    const heir = 'other.heir: an heir of public.orders in a schema that is not managed'
    expect(told([])).toEqual([
      [migrations, both, 'other.part: a partition of public.orders in a schema that is not managed', heir],
      ['other.part', 'other.heir', 'other.both'],
    ])
    const byName = 'excluded by EXCLUDE_TABLES'
    expect(told(['other.part', 'both', 'products'])).toEqual([
      [migrations, `other.both: ${byName}`, `other.part: ${byName}`, heir, `public.products: ${byName}`],
      ['other.heir'],
    ])
    expect(() => told(['rt'])).toThrow(InvalidRequest) // the end of a name is none
  })

  it('may be named with dots, quotes and spaces, as the catalog has it', () => {
    const odd = ['public.a.b', 'public.say "x"', 'public.two words', '"a.b".c']
    const catalog = catalogWith({ tables: odd.map((name) => table(name)) })
    for (const name of odd) expect(actions(catalog, { tables: [name] })[name]).toBe('keep')
  })

  it('is refused when no table has that name, because a typo must not cost a table', () => {
    for (const keep of [{ tables: ['ordres'] }, { excluded: ['ordres'] }, { rows: { ordres: 'true' } }]) {
      const plan = () => chooseActions(shop, { ...nothing, ...keep })
      expect(plan).toThrow(InvalidRequest)
      expect(plan).toThrow(/ordres.*public\.customers.*PRESERVE_TABLES/s)
    }
  })

  it('may name a table that is not managed anyway', () => {
    expect(() => actions(shop, { tables: ['_prisma_migrations'] })).not.toThrow()
    expect(() => actions(shop, { tables: ['public._prisma_migrations'] })).not.toThrow()
  })

  it('wins over a condition for the same table, and excluding wins over both', () => {
    const both = { tables: ['products'], rows: { products: 'true' } }
    expect(actions(shop, both)['public.products']).toBe('keep')
    expect(actions(shop, { ...both, excluded: ['products'] })['public.products']).toBeUndefined()
  })
})

describe('a conflict', () => {
  it('is a kept table that references one that is emptied; it names both and both ways out', () => {
    const plan = () => actions(shop, { tables: ['orders'] })
    expect(plan).toThrow(PreservationConflict)
    expect(plan).toThrow(
      'public.orders is to be kept and references public.customers (public.orders to public.customers), which would be wiped. Either preserve public.customers too, or do not preserve public.orders',
    )
  })

  it('is the same for an excluded table, one of another schema, and one that keeps the migrations', () => {
    expect(() => actions(shop, { excluded: ['orders'] })).toThrow(/public\.orders is not managed/)
    for (const name of ['other.audit', 'public._prisma_migrations']) {
      const catalog = { ...shop, foreignKeys: [key(name, 'public.orders')] }
      expect(() => actions(catalog)).toThrow(`${name} is not managed and references public.orders`)
    }
  })

  it('is not there when what is referenced is kept too, through all tables', () => {
    const kept = { tables: ['lines', 'orders', 'products', 'customers'] }
    expect(new Set(Object.values(actions(shop, kept)))).toEqual(new Set(['keep']))
  })

  it('is not there for what only goes itself: the referenced table may be kept', () => {
    expect(actions(shop, { tables: ['customers'] })).toMatchObject({
      'public.customers': 'keep',
      'public.orders': 'truncate',
    })
  })

  it('lists the first twenty and says how many more there are', () => {
    const tables = Array.from({ length: 30 }, (_, index) => table(`public.kept${index}`))
    const catalog = catalogWith({
      tables: [...tables, table('public.gone')],
      foreignKeys: tables.map(({ name }) => key(name, 'public.gone')),
    })
    expect(() => actions(catalog, { tables: tables.map(({ name }) => name) })).toThrow(/\nand 10 more$/)
  })
})

describe('rows that are kept by a condition', () => {
  it('turn the tables that they may reference from truncating to deleting, and no others', () => {
    expect(actions(shop, { rows: { orders: "status = 'open'" } })).toEqual({
      'public.orders': 'delete rows',
      'public.customers': 'delete',
      'public.lines': 'truncate',
      'public.products': 'truncate',
    })
  })

  it('are checked against every row that goes, and kept tables against the rows they reference', () => {
    const plan = chooseActions(shop, { ...nothing, rows: { orders: 'true' }, tables: ['lines', 'products'] })
    expect(plan.dependsOnRows.map(({ name }) => name)).toEqual([
      'public.orders to public.customers',
      'public.lines to public.orders',
    ])
  })

  it('are those of any condition, when a table has one under its bare name and one under its full name', () => {
    const rows = { users: "role = 'admin'", 'public.users': 'id = 1' }
    const plan = chooseActions(catalogWith({ tables: [table('public.users')] }), { ...nothing, rows })
    expect(plan.tables[0]).toMatchObject({ action: 'delete rows', keepRows: "(role = 'admin') OR (id = 1)" })
  })

  it('work in a table that references itself', () => {
    const catalog = catalogWith({
      tables: [table('public.tree')],
      foreignKeys: [key('public.tree', 'public.tree')],
    })
    expect(actions(catalog)).toEqual({ 'public.tree': 'truncate' })
    const plan = chooseActions(catalog, { ...nothing, rows: { tree: 'root' } })
    expect(plan.tables[0]?.action).toBe('delete rows')
    expect(plan.dependsOnRows).toHaveLength(1)
  })

  it('turn a whole cycle to deleting', () => {
    const names = ['public.a', 'public.b', 'public.c']
    const catalog = catalogWith({
      tables: names.map((name) => table(name)),
      foreignKeys: names.map((name, index) => key(name, names[(index + 1) % 3] as string)),
    })
    expect(actions(catalog)).toEqual({
      'public.a': 'truncate',
      'public.b': 'truncate',
      'public.c': 'truncate',
    })
    expect(actions(catalog, { rows: { a: 'true' } })).toEqual({
      'public.a': 'delete rows',
      'public.b': 'delete',
      'public.c': 'delete',
    })
  })
})

it('a kept table is reached by what its keys do when a row that they refer to goes, and by nothing else', () => {
  const tables = ['public.users', 'public.notes', 'public.logs'].map((name) => table(name))
  const reached = (onDelete: string, keep: Partial<Preservation> = {}) => {
    const foreignKeys = [key('public.notes', 'public.users', { onDelete })]
    const rows = { users: 'is_admin' }
    return chooseActions(catalogWith({ tables, foreignKeys }), {
      ...nothing,
      rows,
      tables: ['notes'],
      ...keep,
    }).reached
  }
  for (const onDelete of ['c', 'n', 'd']) expect(reached(onDelete)).toEqual([{ oid: 1, sql: 'public.notes' }])
  for (const onDelete of ['a', 'r']) expect(reached(onDelete)).toEqual([])
  expect(reached('c', { tables: [] })).toEqual([]) // it goes itself
  expect(reached('c', { rows: {}, tables: ['notes', 'users'] })).toEqual([])
})

describe('partitioned tables', () => {
  const events = family('public.events', ['public.events_1', 'archive.events_2'])

  it('are truncated with their partitions', () => {
    expect(new Set(Object.values(actions(catalogWith({ tables: events }))))).toEqual(new Set(['truncate']))
  })

  it('are kept with all partitions when they are named', () => {
    expect(new Set(Object.values(actions(catalogWith({ tables: events }), { tables: ['events'] })))).toEqual(
      new Set(['keep']),
    )
  })

  it('pass a condition on to their partitions', () => {
    const plan = chooseActions(catalogWith({ tables: events }), { ...nothing, rows: { events: 'pinned' } })
    expect(plan.tables.map(({ action, keepRows }) => [action, keepRows])).toEqual([
      ['delete rows', null],
      ['delete rows', 'pinned'],
      ['delete rows', 'pinned'],
    ])
  })

  it('are not truncated as a whole when one partition is kept, excluded, or in a schema that is not managed', () => {
    const kept = { 'public.events': 'delete rows', 'public.events_1': 'truncate' }
    expect(actions(catalogWith({ tables: events }), { tables: ['events_2'] })).toMatchObject(kept)
    expect(actions(catalogWith({ tables: events }), { excluded: ['events_2'] })).toMatchObject(kept)
    expect(actions(catalogWith({ tables: events.slice(0, 2) }))).toMatchObject(kept)
  })

  it('are deleted from as a whole when rows that stay refer to a single partition', () => {
    const tables = [...family('public.events', ['public.events_1', 'public.events_2']), table('public.notes')]
    const catalog = catalogWith({ tables, foreignKeys: [key('public.notes', 'public.events_1')] })
    expect(actions(catalog, { rows: { notes: 'is_kept' } })).toEqual({
      'public.events': 'delete',
      'public.events_1': 'delete',
      'public.events_2': 'truncate',
      'public.notes': 'delete rows',
    })
  })

  it('are followed over several levels', () => {
    const tables = [
      table('public.top', { partitioned: true, partitions: ['public.middle', 'public.other'] }),
      table('public.middle', { partitioned: true, parents: ['public.top'], partitions: ['public.low'] }),
      table('public.low', { parents: ['public.middle'] }),
      table('public.other', { parents: ['public.top'] }),
    ]
    expect(actions(catalogWith({ tables }), { tables: ['top'] })['public.low']).toBe('keep')
    expect(actions(catalogWith({ tables }), { tables: ['low'] })).toEqual({
      'public.top': 'delete rows',
      'public.middle': 'delete rows',
      'public.low': 'keep',
      'public.other': 'truncate',
    })
  })

  it('may keep rows that another kept table references', () => {
    const catalog = catalogWith({
      tables: [...events, table('public.reads')],
      foreignKeys: events.map(({ name }, at) => key('public.reads', name, { derived: at > 0 })),
    })
    const plan = chooseActions(catalog, { ...nothing, tables: ['reads'], rows: { events: 'pinned' } })
    expect(plan.dependsOnRows.map(({ to }) => to)).toEqual(['public.events'])
  })
})

describe('an inheritance parent', () => {
  it('is a table of its own: keeping it says nothing about its children', () => {
    const tables = [table('public.base'), table('public.child', { parents: ['public.base'] })]
    expect(actions(catalogWith({ tables }), { tables: ['base'] })).toEqual({
      'public.base': 'keep',
      'public.child': 'truncate',
    })
  })
})

describe('sequences', () => {
  const tables = [table('public.a'), table('public.b'), ...family('public.p', ['public.p1', 'public.p2'])]
  const sequences = [
    sequence('public.a_id', ['public.a']),
    sequence('public.shared', ['public.a', 'public.b']),
    sequence('public.foreign', ['public.a', 'other.x']),
    sequence('public.free', []),
    sequence('public.p_id', ['public.p']),
  ]
  const restarted = (keep: Partial<Preservation>) =>
    chooseActions(catalogWith({ tables, sequences }), { ...nothing, ...keep }).restart.map(({ name }) => name)

  it('start again when every table that uses them is emptied', () => {
    expect(restarted({})).toEqual(['public.a_id', 'public.shared', 'public.p_id'])
  })

  it('go on when a table that uses them is kept, keeps rows, or is not managed', () => {
    expect(restarted({ tables: ['b'] })).toEqual(['public.a_id', 'public.p_id'])
    expect(restarted({ rows: { b: 'true' } })).toEqual(['public.a_id', 'public.p_id'])
    expect(restarted({ excluded: ['a'] })).toEqual(['public.p_id'])
  })

  it('of a partitioned table go on when one of its partitions is kept', () => {
    expect(restarted({ tables: ['p1'] })).not.toContain('public.p_id')
    expect(restarted({ rows: { p1: 'true' } })).not.toContain('public.p_id')
  })
})

describe('the permissions', () => {
  const check = (changed: ReturnType<typeof table>, wipes = true, keep: Partial<Preservation> = {}) => {
    const catalog = catalogWith({ tables: [changed] })
    return () => checkPermissions(chooseActions(catalog, { ...nothing, ...keep }), catalog, wipes)
  }

  it('to read every table are needed for a backup too, else it would be short', () => {
    const hidden = table('public.secret', { mayRead: false })
    expect(check(hidden, false)).toThrow(NotPermitted)
    expect(check(hidden, false)).toThrow(/public\.secret.*SELECT.*EXCLUDE_TABLES/)
    expect(check(hidden, false, { excluded: ['secret'] })).not.toThrow()
  })

  it('to truncate and to own are needed only where something goes', () => {
    for (const foreign of [{ owned: false }, { mayTruncate: false }]) {
      expect(check(table('public.t', foreign))).toThrow(/may not truncate public\.t/)
      expect(check(table('public.t', foreign), false)).not.toThrow()
      expect(check(table('public.t', foreign), true, { tables: ['t'] })).not.toThrow()
    }
  })

  it('to restart and to read the sequences are needed too', () => {
    const using = (change: Partial<ReturnType<typeof sequence>>, wipes: boolean) => () => {
      const tables = [table('public.t')]
      const catalog = catalogWith({ tables, sequences: [sequence('public.s', ['public.t'], change)] })
      checkPermissions(chooseActions(catalog, nothing), catalog, wipes)
    }
    expect(using({ owned: false }, true)).toThrow(/does not own the sequences public\.s/)
    expect(using({ owned: false }, false)).not.toThrow()
    expect(using({ mayRead: false }, false)).toThrow(/may not read the sequences public\.s/)
  })

  it('to a sequence that only tables outside the plan use are not needed', () => {
    const sequences = [sequence('public.s', ['other.x'], { owned: false, mayRead: false })]
    const catalog = catalogWith({ tables: [table('public.t')], sequences })
    expect(() => checkPermissions(chooseActions(catalog, nothing), catalog, true)).not.toThrow()
  })
})
