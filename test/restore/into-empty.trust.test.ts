import { expect, it } from 'vitest'
import { BackupUnsigned, EnvironmentUnclaimed, InvalidRequest, NotEmpty } from '../../lib/errors.ts'
import { parseRequest } from '../../lib/run/request.ts'
import { currentClients } from '../../lib/task.ts'
import { carryOut } from '../../local/cli/run/carry-out.ts'
import { makeTables, readDefinitionOf, showDefinition } from '../../local/cli/run/into-empty.ts'
import { environment } from '../e2e/reset-stack.ts'
import { useStrangeDatabases } from '../e2e/strange-database.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { dump } from './dump.ts'

const strange = useStrangeDatabases()

it.runIf(isFull)(
  `a backup comes back into a database that is empty, tables and all, and into no other; only what is signed is run as SQL ${inFullForm}`,
  async () => {
    const made = `CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'fine');
      CREATE TABLE app.users (id serial PRIMARY KEY, mood app.mood DEFAULT 'fine', tags text[], n int GENERATED ALWAYS AS IDENTITY (START 7));
      CREATE TABLE app.posts (id int, author int REFERENCES app.users, PRIMARY KEY (id)) PARTITION BY RANGE (id);
      CREATE TABLE app.posts_1 PARTITION OF app.posts FOR VALUES FROM (0) TO (100);
      CREATE TABLE public.schema_migrations (version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1'), ('2');
      INSERT INTO app.users (mood, tags) VALUES ('sad', '{a,NULL}'), (NULL, NULL); INSERT INTO app.posts VALUES (1, 1), (2, 2)`
    const schemas = ['app', 'public']
    const full = await strange.database(made, { schemas })
    const { backupId } = await strange.reset.succeed({ operation: 'backup', strategy: 'database-only' })
    const before = await dump(full.admin)

    const request = parseRequest({ ...strange.putBack(backupId), rehearse: false })
    const definition = await readDefinitionOf(await currentClients(), request)
    expect(definition.backupId).toBe(backupId) // which is then the one that is restored, whatever its name means by then
    expect(showDefinition(definition)).toMatch(
      /CREATE TABLE app\.users[\s\S]*2 rows of public\.schema_migrations/,
    )
    await expect(makeTables(await currentClients(), request, definition)).rejects.toThrow(NotEmpty)

    const empty = await strange.database('CREATE SCHEMA app', { schemas, claim: false })
    await expect(makeTables(await currentClients(), request, definition)).rejects.toThrow(
      EnvironmentUnclaimed,
    )
    expect(Object.keys(await dump(empty.admin))).not.toContain('app.users')
    await strange.reset.succeed({ operation: 'claim', confirm: environment })
    const connected = { clients: await currentClients(), stack: undefined, isGoneAfterwards: false }
    const wanted = { sent: { ...request }, request }
    const told = await carryOut({ ...connected, stop: async () => {} }, wanted, {
      json: true,
      intoEmpty: true,
    })
    expect(told).toMatchObject({ code: 0, document: { operation: 'restore', status: 'succeeded' } })
    const { tables: _, ...after } = await dump(empty.admin)
    const { tables: __, ...expected } = before
    expect(after).toEqual(expected)

    const keys = process.env.SIGNING_KEYS
    process.env.SIGNING_KEYS = JSON.stringify([
      { id: 'another', secret: Buffer.alloc(32, 1).toString('base64') },
    ])
    const allowed = parseRequest({ ...strange.putBack(backupId), allowUnsigned: true })
    await expect(readDefinitionOf(await currentClients(), allowed)).rejects.toThrow(BackupUnsigned)
    process.env.SIGNING_KEYS = keys
    const dry = parseRequest({ ...strange.putBack(backupId), dryRun: true })
    await expect(readDefinitionOf(await currentClients(), dry)).rejects.toThrow(InvalidRequest)
  },
)
