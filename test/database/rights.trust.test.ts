import { describe, expect, it } from 'vitest'
import { useStrangeDatabases, warned } from '../e2e/strange-database.ts'
import { inFullForm, isFull } from '../support/trust.ts'

const strange = useStrangeDatabases()

const made = `CREATE SCHEMA other; CREATE TYPE other.mood AS ENUM ('sad', 'fine'); CREATE DOMAIN other.short AS text;
  CREATE FUNCTION other.sane(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
  CREATE TABLE users (name other.short, mood other.mood, moods other.mood[], CHECK (other.sane(name)));
  INSERT INTO users VALUES ('one', 'sad', '{fine}')`

/** What is taken from the role after its tables were made; what the refusal of a reset says then. */
const taken: Record<string, { sql: (role: string) => string; says: (role: string) => string }> = {
  'a type': {
    // Values of domains and of arrays are held as text meanwhile, which needs no right on them.
    sql: (
      role,
    ) => `ALTER TYPE other.mood OWNER TO CURRENT_USER; ALTER DOMAIN other.short OWNER TO CURRENT_USER;
      REVOKE ALL ON TYPE other.mood, other.short FROM PUBLIC, ${role}`,
    says: (role) => `GRANT USAGE ON TYPE other.mood TO ${role}`,
  },
  'a function of a constraint': {
    sql: (role) =>
      `ALTER FUNCTION other.sane OWNER TO CURRENT_USER; REVOKE ALL ON FUNCTION other.sane FROM PUBLIC, ${role}`,
    says: (role) => `GRANT EXECUTE ON FUNCTION other.sane(text) TO ${role}`,
  },
  'the tables that it makes': {
    sql: (role) => `ALTER DEFAULT PRIVILEGES FOR ROLE ${role} REVOKE ALL ON TABLES FROM ${role};
      ALTER DEFAULT PRIVILEGES FOR ROLE ${role} GRANT SELECT ON TABLES TO PUBLIC`,
    says: () => 'SQLSTATE 42501',
  },
}

describe.runIf(isFull)('a right that a restore needs and the role does not have', () => {
  it.each(Object.keys(taken))(
    `is named before a wipe that no rehearsal precedes: on %s ${inFullForm}`,
    async (what) => {
      const { sql, says } = taken[what] as (typeof taken)[string]
      const database = await strange.database(made)
      await database.admin.query(sql(database.role))
      const { error, cause } = await strange.refused(database, { rehearse: false })
      expect(error).toBe('NotPermitted')
      expect(cause).toContain(says(database.role))
      await database.admin.query(`DROP SCHEMA public, other CASCADE; DROP OWNED BY ${database.role} CASCADE`)
    },
  )

  it(`is told of tables that stay, which the backup holds as well ${inFullForm}`, async () => {
    const database = await strange.database(made)
    const { sql, says } = taken['a type'] as (typeof taken)[string]
    await database.admin.query(sql(database.role))
    const keeping = strange.wipe({ rehearse: false, preserve: { tables: ['users'] } })
    const kept = await strange.reset.succeed(keeping)
    expect(warned(kept, 'NotRestorable')).toContain(says(database.role))
  })
})
