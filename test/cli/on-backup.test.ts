import { beforeAll, expect, test } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { parseRequest } from '../../lib/run/request.ts'
import { open } from '../../local/cli/connect.ts'
import { followRun } from '../../local/cli/follow-run.ts'
import { startRun } from '../../local/cli/start-run.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack()
const backups: string[] = []

beforeAll(async () => {
  const connected = await open(undefined)
  const sent = { operation: 'backup', strategy: 'cache-only' }
  for (let backup = 0; backup < 2; backup++) {
    const runId = await startRun(connected.clients, { sent, request: parseRequest(sent) })
    const { outcome } = await followRun(connected.clients, runId, { show() {}, end() {} })
    backups.push(outcome.backupId ?? '')
  }
  await connected.stop()
})

test('a backup is kept while it is pinned, and can be deleted when it is not the newest', async () => {
  const [old = '', newest = ''] = backups
  expect(await cli.cli(['pin', old, '--json'])).toMatchObject({
    code: 0,
    json: { backupId: old, pinned: true },
  })
  expect((await cli.cli(['backups'])).stdout).toMatch(new RegExp(`${old} .* pinned\n`))
  const remove = (backupId: string) => cli.cli(['delete', backupId, '--confirm', 'local', '--json'])
  const pinned = await remove(old)
  expect(pinned).toMatchObject({ code: 3, json: { error: { name: 'BackupKept' } } })
  expect(pinned.json.error.message).toContain('because of this: pinned.')
  expect(await cli.cli(['unpin', old])).toMatchObject({ code: 0, stdout: `${old} is not pinned.\n` })
  const refused = await remove(newest)
  expect(refused).toMatchObject({ code: 3, json: { error: { name: 'BackupKept' } } })
  const deleted = await remove(old)
  expect(deleted.code).toBe(0)
  expect(Outcome.parse(deleted.json).subject).toMatchObject({ backupId: old, state: 'deleted' })
  const again = await cli.cli(['delete', old, '--confirm', 'local'])
  expect(again.code).toBe(1)
  expect(again.stderr).toContain(`NotFound: There is no sealed backup ${old}`)
})

test('a backup is not deleted without the name of the environment', async () => {
  const { code, stderr } = await cli.cli(['delete', backups[1] ?? ''])
  expect(code).toBe(3)
  expect(stderr).toContain("delete needs the environment's name")
})

test('a run that is over, or that nobody knows, cannot be cancelled', async () => {
  const { json } = await cli.cli(['runs', '--json'])
  const ended = await cli.cli(['cancel', json.runs[0].runId])
  expect(ended.code).toBe(3)
  expect(ended.stderr).toMatch(/^RunEnded: Run .* is over: it is succeeded/)
  expect((await cli.cli(['cancel', 'nobody'])).stderr).toMatch(/^NotFound: /)
})
