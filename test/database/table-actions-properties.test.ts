import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Catalog } from '../../lib/database/catalog/catalog.ts'
import type { Table } from '../../lib/database/catalog/table.ts'
import {
  chooseActions,
  type Preservation,
  type TableActions,
} from '../../lib/database/plan/actions/table-actions.ts'
import { PreservationConflict } from '../../lib/errors.ts'
import { catalogWith, family, key, table } from './made-catalog.ts'

/** Random plain and partitioned tables, some of them unmanaged, with random foreign keys, and what is to be kept of them. */
const cases = fc
  .tuple(
    fc.array(
      fc.record({
        leaves: fc.constantFrom(0, 0, 0, 1, 2),
        keep: fc.constantFrom('', '', '', 'table', 'rows', 'excluded', 'leaf', 'leaf rows', 'unmanaged leaf'),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 12 }),
    fc.boolean(),
  )
  .map(([kinds, links, outside]) => {
    const unmanaged = outside ? [{ name: 'public.outside', reason: 'a foreign table' }] : []
    const families = kinds.map(({ leaves }, index) => {
      const name = `public.t${index}`
      return leaves === 0
        ? [table(name)]
        : family(
            name,
            ['_a', '_b'].slice(0, leaves).map((end) => name + end),
          )
    })
    const keep: Preservation = { tables: [], rows: {}, excluded: [] }
    const hidden = new Set<string>()
    for (const [index, { keep: wish }] of kinds.entries()) {
      const own = (wish.includes('leaf') ? families[index]?.at(-1) : families[index]?.[0]) as Table
      if (wish === 'table' || wish === 'leaf') keep.tables.push(own.name)
      if (wish === 'rows' || wish === 'leaf rows') keep.rows[own.name] = 'true'
      if (wish === 'excluded') keep.excluded.push(own.name)
      if (wish === 'unmanaged leaf' && own.parents.length > 0) hidden.add(own.name)
    }
    const ends = [...families, [table('public.outside')]]
    // As Postgres has it: a key from or to a partitioned table is there once more from each partition, and once more to
    // each, but not from partition to partition.
    const foreignKeys = links.flatMap(([from, to]) => {
      const [a, ...fromLeaves] = ends[from % ends.length] as [Table, ...Table[]]
      const [b, ...toLeaves] = families[to % families.length] as [Table, ...Table[]]
      return [
        key(a.name, b.name),
        ...fromLeaves.map((leaf) => key(leaf.name, b.name, { derived: true })),
        ...toLeaves.map((leaf) => key(a.name, leaf.name, { derived: true })),
      ]
    })
    const tables = families.flat().filter(({ name }) => !hidden.has(name))
    return { catalog: catalogWith({ tables, unmanaged, foreignKeys }), keep }
  })

/** The rule told in other words: a table's fate by itself, which keys cannot change. */
function staysWhole({ tables }: Catalog, keep: Preservation, name: string): boolean {
  const found = tables.find((one) => one.name === name)
  if (found === undefined) return true
  const said = [found.name, ...found.parents]
  return said.some((one) => keep.tables.includes(one) || keep.excluded.includes(one))
}

function planOrConflict(catalog: Catalog, keep: Preservation): TableActions | 'conflict' {
  try {
    return chooseActions(catalog, keep)
  } catch (error) {
    expect(error).toBeInstanceOf(PreservationConflict)
    return 'conflict'
  }
}

it('a plan is refused exactly when something that stays whole references something that is emptied', () => {
  fc.assert(
    fc.property(cases, ({ catalog, keep }) => {
      const isEmptied = (name: string): boolean => {
        const found = catalog.tables.find((one) => one.name === name)
        if (found === undefined || staysWhole(catalog, keep, name)) return false
        if (found.partitioned) return found.partitions.every(isEmptied)
        return ![name, ...found.parents].some((one) => one in keep.rows)
      }
      const expected = catalog.foreignKeys.some(
        ({ from, to }) => staysWhole(catalog, keep, from) && isEmptied(to),
      )
      expect(planOrConflict(catalog, keep) === 'conflict').toBe(expected)
    }),
    { numRuns: 2000 },
  )
})

it('what is truncated is referenced only by what is truncated, and so are all its partitions', () => {
  fc.assert(
    fc.property(cases, ({ catalog, keep }) => {
      const plan = planOrConflict(catalog, keep)
      if (plan === 'conflict') return
      const truncated = plan.tables.filter(({ action }) => action === 'truncate').map((entry) => entry.table)
      const names = new Set(truncated.map(({ name }) => name))
      for (const { from, to } of catalog.foreignKeys) if (names.has(to)) expect(names).toContain(from)
      for (const { partitions } of truncated) for (const one of partitions) expect(names).toContain(one)
    }),
    { numRuns: 2000 },
  )
})

it('every managed table has one action, which is "keep" exactly for what is to be kept', () => {
  fc.assert(
    fc.property(cases, ({ catalog, keep }) => {
      const plan = planOrConflict(catalog, keep)
      if (plan === 'conflict') return
      const planned = plan.tables.map((entry) => entry.table.name)
      const excluded = plan.unmanaged.map(({ name }) => name)
      expect(new Set([...planned, ...excluded]).size).toBe(planned.length + excluded.length)
      for (const { table: one, action } of plan.tables) {
        expect(action === 'keep').toBe(staysWhole(catalog, keep, one.name))
      }
    }),
    { numRuns: 2000 },
  )
})

it('only a key that somebody declared, between tables one of which keeps some rows, depends on the rows', () => {
  fc.assert(
    fc.property(cases, ({ catalog, keep }) => {
      const plan = planOrConflict(catalog, keep)
      if (plan === 'conflict') return
      const actionOf = new Map(plan.tables.map(({ table: one, action }) => [one.name, action]))
      for (const { from, to, derived } of plan.dependsOnRows) {
        expect([actionOf.get(from), actionOf.get(to)]).toContain('delete rows')
        expect(derived).toBe(false)
      }
    }),
    { numRuns: 1000 },
  )
})
