import { describe, expect, it } from 'vitest'
import { useStrangeDatabases } from './strange-database.ts'

/** Databases that each have one thing that real ones have, and most tests have not. */
const strange = useStrangeDatabases()

describe('a database comes back from a reset and a restore exactly as it was', () => {
  it('with rows and a sequence, and nothing strange', async () => {
    const made = await strange.database(
      'CREATE TABLE t (id serial PRIMARY KEY, x text); INSERT INTO t (x) SELECT g FROM generate_series(1, 5) g',
    )
    const { emptied, reset } = await strange.roundTrip(made)
    expect(reset).toMatchObject({ status: 'succeeded', targets: { database: { state: 'wiped', rows: 5 } } })
    expect(emptied['public.t']).toEqual([])
    expect(emptied['public.t_id_seq']).toEqual(['1 false'])
  })
})
