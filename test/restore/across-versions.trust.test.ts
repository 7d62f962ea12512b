import { afterAll, beforeAll, describe, expect, inject, it, test } from 'vitest'
import { SchemaChanged } from '../../lib/errors.ts'
import { parseRequest } from '../../lib/run/request.ts'
import { currentClients } from '../../lib/task.ts'
import { carryOut } from '../../local/cli/run/carry-out.ts'
import { makeTables, readDefinitionOf } from '../../local/cli/run/into-empty.ts'
import { environment } from '../e2e/reset-stack.ts'
import { type StrangeDatabase, useStrangeDatabases } from '../e2e/strange-database.ts'
import { skipBefore } from '../support/server-version.ts'
import { howToInstallServer, serversOfSystem, startServerOfSystem } from '../support/servers-of-system.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { dump } from './dump.ts'

const strange = useStrangeDatabases()
const schemas = ['app', 'public']

const application = `
CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'fine'); CREATE DOMAIN app.short AS varchar(9) CHECK (VALUE <> 'no');
CREATE TABLE app.users (id serial PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY (START 7), mood app.mood DEFAULT 'fine', name app.short NOT NULL, code text UNIQUE,
  double numeric GENERATED ALWAYS AS (id * 2.50) STORED, tags text[], doc jsonb, raw json, f float8, m money, at timestamptz, i interval, b bytea, r int4range, v tsvector, x xml, p point, a inet);
CREATE TABLE app.posts (id int, author int REFERENCES app.users ON DELETE CASCADE, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE app.posts_1 PARTITION OF app.posts FOR VALUES FROM (0) TO (1000); CREATE TABLE app.posts_2 PARTITION OF app.posts DEFAULT;
CREATE TABLE app.likes (post int REFERENCES app.posts, by int REFERENCES app.users DEFERRABLE INITIALLY DEFERRED, weight int CHECK (weight > 0));
CREATE INDEX lower_code ON app.users (lower(code)) WHERE mood = 'sad'; CREATE INDEX ON app.likes (post, by);
CREATE TABLE schema_migrations (version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1'), ('2');
INSERT INTO app.users (mood, name, code, tags, doc, raw, f, m, at, i, b, r, v, x, p, a)
  SELECT CASE g % 3 WHEN 0 THEN 'sad'::app.mood WHEN 1 THEN 'fine' END, 'u' || g, 'Code ' || g, ARRAY['a', NULL, g::text], jsonb_build_object('g', g / 7.0), '{"a":1,  "a":2}', g / 3.0, g * 1.5,
    '2026-11-27 01:02:03.456789+05:45'::timestamptz + g * interval '1 day', g * interval '1 mon 2 days 3.5 sec', decode(md5(g::text), 'hex'), int4range(g, g + 5), to_tsvector('simple', 'a b ' || g),
    '<a>é</a>', point(g, 1e-300), '10.0.0.1'::inet + g FROM generate_series(1, 3000) g;
INSERT INTO app.posts SELECT g, g, repeat(md5(g::text), 3) FROM generate_series(1, 3000) g; INSERT INTO app.likes SELECT g, 3001 - g, g FROM generate_series(1, 3000) g;`

/** What of it a restore brings to another server: rows and sequences. */
async function heldBy({ admin }: StrangeDatabase): Promise<Record<string, unknown>> {
  const all = await dump(admin)
  return Object.fromEntries(Object.entries(all).filter(([name]) => name.includes('.')))
}

async function carriedOut(request: object, intoEmpty: boolean) {
  const clients = await currentClients()
  const connected = { clients, stack: undefined, isGoneAfterwards: false, stop: async () => {} }
  const wanted = { sent: { ...request }, request: parseRequest(request) }
  return await carryOut(connected, wanted, { json: true, intoEmpty })
}

describe.runIf(isFull)('a backup on a server of another version than that which wrote it', () => {
  test.runIf(serversOfSystem.length === 0)(`is tried where there is one ${inFullForm}`, ({ skip }) =>
    skip(howToInstallServer),
  )
  for (const { folder, version } of serversOfSystem) {
    describe(`PostgreSQL ${version} of the system`, () => {
      const servers = { here: '', other: '' }
      let stop: () => Promise<void>
      beforeAll(async () => {
        const started = await startServerOfSystem(folder)
        stop = started.stop
        Object.assign(servers, { here: inject('postgresAdminUrl'), other: started.adminUrl })
      })
      afterAll(() => stop())

      it.each([
        ['here', 'other'],
        ['other', 'here'],
      ] as const)(
        `comes back whole, and by its differences, and can be compared and proved there: from %s to %s ${inFullForm}`,
        async (from, to) => {
          const source = await strange.database(application, { schemas, server: servers[from] })
          const { backupId } = await strange.reset.succeed({
            operation: 'backup',
            strategy: 'database-only',
            rehearse: true,
          })
          const before = await heldBy(source)

          const target = await strange.database('', { schemas, server: servers[to], claim: false })
          await target.sql.query('CREATE SCHEMA app')
          await strange.reset.succeed({ operation: 'claim', confirm: environment })
          const told = await carriedOut(strange.putBack(backupId, { rehearse: true }), true)
          expect(told).toMatchObject({ code: 0, document: { status: 'succeeded', warnings: [] } })
          expect(await heldBy(target)).toEqual(before)

          const same = await strange.reset.succeed({ operation: 'diff', backupId })
          expect(same.difference?.database).toMatchObject({ tables: [], sequences: [] })
          await target.sql.query(`UPDATE app.users SET name = 'other' WHERE id = 77; DELETE FROM app.likes WHERE post % 500 = 0;
            INSERT INTO app.likes VALUES (1, 1, 1); SELECT nextval('app.users_id_seq')`)
          const other = await strange.reset.succeed({ operation: 'diff', backupId })
          expect(other.difference?.database).toMatchObject({
            tables: [
              { name: 'app.likes', extra: 1, missing: 6 },
              { name: 'app.users', changed: 1 },
            ],
            sequences: [{ name: 'app.users_id_seq' }],
          })
          await strange.reset.succeed(strange.putBack(backupId, { rehearse: false }))
          expect(await heldBy(target)).toEqual(before)
          const verified = await strange.reset.succeed({ operation: 'verify', backupId, rehearse: true })
          expect(verified.subject?.state).toBe('rehearsed')
        },
      )

      it(`is refused, with both versions, where its tables need what that version does not have ${inFullForm}`, async (context) => {
        skipBefore(18, 'virtual columns', context)
        await strange.database(
          'CREATE TABLE virtual (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL); INSERT INTO virtual VALUES (1)',
        )
        const { backupId } = await strange.reset.succeed({ operation: 'backup', strategy: 'database-only' })
        const request = parseRequest(strange.putBack(backupId))
        const definition = await readDefinitionOf(await currentClients(), request)
        await strange.database('', { server: servers.other })
        const refused = makeTables(await currentClients(), request, definition)
        await expect(refused).rejects.toThrow(SchemaChanged)
        await expect(refused).rejects.toThrow(
          /"VIRTUAL"\. Postgres 18\.\d+ wrote the backup, and this is [^.]+\..*\. Nothing was made/,
        )
      })
    })
  }
})
