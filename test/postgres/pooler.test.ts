import { existsSync } from 'node:fs'
import { chown, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import pg from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { InvalidConfiguration } from '../../lib/errors.ts'
import { connect } from '../../lib/postgres/connection.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { unprivilegedUser } from '../../local/database/programs.ts'
import { postgresTarget } from '../../local/database/socket.ts'
import { startWebSocketProxy } from '../../local/database/websocket-proxy.ts'
import { freePort, LOOPBACK } from '../../local/loopback.ts'
import { guardProcesses } from '../../local/processes/child-processes.ts'

const found = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((path) => existsSync(path))

/** The address of a database, behind a pooler that has one connection to it. */
async function pooled(file: string, mode: string): Promise<string> {
  const adminUrl = inject('postgresAdminUrl')
  const direct = await createDatabase(adminUrl)
  onTestFinished(() => dropDatabase(adminUrl, direct))
  const { username, password, port } = new URL(direct)
  const guarded = await guardProcesses()
  onTestFinished(guarded.stop)
  const [users, settings] = [join(guarded.folder, 'users'), join(guarded.folder, 'settings')]
  const own = await freePort()
  await writeFile(users, `"${username}" "${password}"\n`, { mode: 0o600 })
  await writeFile(
    settings,
    `[databases]\n* = host=${LOOPBACK} port=${port}\n[pgbouncer]\nlisten_addr = ${LOOPBACK}\nlisten_port = ${own}\nunix_socket_dir =
auth_type = plain\nauth_file = ${users}\npool_mode = ${mode}\ndefault_pool_size = 1\n`,
  )
  const user = await unprivilegedUser()
  if (user) await chown(users, user.uid, user.gid)
  const command = { service: 'PgBouncer', file, args: [settings], user }
  await guarded.start(command, /process up/)
  return Object.assign(new URL(direct), { port: String(own) }).href
}

test.for(['transaction', 'session'])(
  'a pooler that is not called one is refused, and nothing is left in its sessions: mode %s',
  async (mode, { skip }) => {
    const url = await pooled(found ?? skip('There is no PgBouncer: apt-get install pgbouncer'), mode)
    const proxy = await startWebSocketProxy(postgresTarget(url))
    onTestFinished(proxy.stop)
    const refused = connect({ DATABASE_URL: url, DATABASE_WEBSOCKET_PROXY: proxy.address })
    await expect(refused).rejects.toThrow(InvalidConfiguration)
    await expect(refused).rejects.toThrow(`(${new URL(url).host}) leads to a connection pooler`)

    const application = new pg.Client({ connectionString: url })
    await application.connect()
    const { rows } = await application.query('SHOW search_path')
    await application.end()
    expect(rows).toEqual([{ search_path: '"$user", public' }])
  },
)
