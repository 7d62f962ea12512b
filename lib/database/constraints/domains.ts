import type { Connection } from '../../postgres/connection.ts'
import { literal, quote } from '../../postgres/identifiers.ts'
import type { PostDataConstraint } from './post-data.ts'
import { answersByTime, heldTypesOf } from './row-expressions.ts'

type Dropped = {
  domain: number
  sql: string
  name: string
  definition: string
  comment: string | null
  validated: boolean
}

/**
 * The domains of which a restore of the tables validates a constraint anew, for which Postgres keeps writers off every table that has
 * a column of one.
 */
export async function validatedDomains(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<number[]> {
  const dropped = await readDropped(connection, tables)
  return dropped.filter(({ validated }) => validated).map(({ domain }) => domain)
}

/**
 * Drops constraints of the domains that the tables' columns hold, also inside arrays and composite types, when they are NOT
 * VALID, call functions of the application, or judge by the time: a value becomes one of the domain anew while tables are
 * filled, and would be refused. Those of domains that the role does not own stay.
 */
export async function dropDomainConstraints(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<PostDataConstraint[]> {
  const found = await readDropped(connection, tables)
  const drops = found.map(({ sql, name }) => `ALTER DOMAIN ${sql} DROP CONSTRAINT ${quote(name)}`)
  if (drops.length > 0) await connection.query(drops.join(';\n'))
  return found.map(({ sql, name, definition, comment, validated }): PostDataConstraint => {
    const add = `ALTER DOMAIN ${sql} ADD CONSTRAINT ${quote(name)} ${definition}`
    const text =
      comment === null ? [] : [`COMMENT ON CONSTRAINT ${quote(name)} ON DOMAIN ${sql} IS ${literal(comment)}`]
    return {
      add: [validated ? `${add} NOT VALID` : add, ...text],
      validate: validated ? `ALTER DOMAIN ${sql} VALIDATE CONSTRAINT ${quote(name)}` : null,
      isAlone: true,
      name: `constraint ${name} of the domain ${sql}`,
      broken: async () => null, // asking for a value's domain raises an error, it does not count
      refusal: null,
    }
  })
}

async function readDropped(connection: Connection, tables: readonly { oid: number }[]): Promise<Dropped[]> {
  const found = await connection.query(
    `WITH RECURSIVE ${heldTypesOf('$1::oid[]')}
     SELECT t.oid::bigint::float8 AS domain, t.oid::regtype::text AS sql, k.conname AS name, pg_get_constraintdef(k.oid) AS definition,
       obj_description(k.oid, 'pg_constraint') AS comment, k.convalidated AS validated
     FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
     WHERE k.contypid IN (SELECT type FROM held) AND k.contype = 'c' AND pg_has_role(t.typowner, 'USAGE')
       AND (NOT k.convalidated OR EXISTS (
         SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
           AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND d.refobjid >= 16384)
         OR ${answersByTime('k.conbin')})
     ORDER BY k.oid`,
    [tables.map(({ oid }) => oid)],
  )
  return found.rows
}
