import { NotPermitted } from '../errors.ts'
import type { Connection } from './connection.ts'
import { quote } from './identifiers.ts'

/**
 * SQL that creates a schema of our own unless it is there, for the role alone: its default privileges may give others
 * each schema that it makes, and each table, whatever rights they have on the tables of which a copy lies there.
 */
export async function createOwnSchema(connection: Connection, schema: string): Promise<string> {
  const found = await connection.query(
    `SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS name
     FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a
     WHERE to_regnamespace($1) IS NULL AND d.defaclobjtype = 'n' AND a.grantee <> d.defaclrole AND pg_get_userbyid(d.defaclrole) = current_user`,
    [quote(schema)],
  )
  const others = found.rows.map(({ name }) => name)
  const revoke =
    others.length === 0 ? '' : `; REVOKE ALL ON SCHEMA ${quote(schema)} FROM ${others.join(', ')} CASCADE`
  return `CREATE SCHEMA IF NOT EXISTS ${quote(schema)}${revoke}`
}

/** Whoever owns a schema may exchange what lies in it. @throws NotPermitted when another role has made it */
export async function checkOwnSchema(connection: Connection, schema: string): Promise<void> {
  const found = await connection.query(
    `SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = $1 AND NOT pg_has_role(nspowner, 'USAGE')`,
    [schema],
  )
  if (found.rows.length === 0) return
  throw new NotPermitted(
    `The schema ${schema}, which a run makes for itself, was made by the role ${found.rows[0]?.owner}. The live tables were not touched; drop it, and see why that role makes schemas of this name`,
  )
}
