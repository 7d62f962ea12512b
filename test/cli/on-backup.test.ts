import { beforeAll, expect, test } from 'vitest'
import { Outcome } from '../../lib/run/outcome.ts'
import { useCliStack } from './cli-stack.ts'

const cli = useCliStack()
const backups: Outcome[] = []

beforeAll(async () => {
  const sent = { operation: 'backup', strategy: 'cache-only' }
  for (let backup = 0; backup < 2; backup++) backups.push(await cli.run(sent))
})

test('a backup is kept while it is pinned, and can be deleted when it is not the newest', async () => {
  const [old = '', newest = ''] = backups.map(({ backupId }) => backupId ?? '')
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

test('a run that is over, or that nobody knows, cannot be cancelled', async () => {
  const ended = await cli.cli(['cancel', backups[0]?.runId ?? ''])
  expect(ended.code).toBe(3)
  expect(ended.stderr).toMatch(/^RunEnded: Run .* is over: it is succeeded/)
  expect((await cli.cli(['cancel', 'nobody'])).stderr).toMatch(/^NotFound: /)
})
