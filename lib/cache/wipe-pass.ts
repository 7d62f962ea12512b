import type { BinaryRedis } from './binary-redis.ts'
import { command, unlink } from './command.ts'
import { asBytes, asNumber, asText } from './reply.ts'
import { firstCursor, readScan, scanCommand, scanKeys } from './scan.ts'

/** Which keys go: those that a SCAN finds by `match`, for which `goes` is true, and whose type is not kept. */
export type Selection = {
  match: string | undefined
  goes: (key: Buffer) => boolean
  unsupportedTypes: readonly string[]
  pageKeys: number
}

/** One pass: each request deletes the page before and scans the next. Gives how many keys it found and deleted. */
export async function wipeOnce(
  cache: BinaryRedis,
  selection: Selection,
  onPage: (deleted: number) => Promise<void>,
): Promise<{ found: number; gone: number }> {
  let [found, gone] = [0, 0]
  let cursor: string | undefined = firstCursor
  let doomed: Buffer[] = []
  while (cursor !== undefined || doomed.length > 0) {
    const deletions = unlink(doomed)
    const scan = cursor === undefined ? [] : [scanCommand(cursor, selection.match, selection.pageKeys)]
    const replies = await cache.ask([...deletions, ...scan])
    const deleted = replies
      .slice(0, deletions.length)
      .reduce<number>((sum, reply) => sum + asNumber(reply), 0)
    gone += deleted
    await onPage(deleted)
    if (cursor === undefined) break
    const page = readScan(replies.at(-1))
    doomed = await keysToDelete(cache, page.items.map(asBytes), selection)
    found += doomed.length
    cursor = page.cursor === firstCursor ? undefined : page.cursor
  }
  return { found, gone }
}

async function keysToDelete(
  cache: BinaryRedis,
  page: readonly Buffer[],
  selection: Selection,
): Promise<Buffer[]> {
  const keys = page.filter(selection.goes)
  if (selection.unsupportedTypes.length === 0 || keys.length === 0) return keys
  const types = await cache.ask(keys.map((key) => command('TYPE', key)))
  return keys.filter((_, index) => !selection.unsupportedTypes.includes(asText(types[index])))
}

/** How many keys are there that should go. */
export async function countDoomed(cache: BinaryRedis, selection: Selection): Promise<number> {
  let doomed = 0
  for await (const page of scanKeys(cache, { match: selection.match, count: selection.pageKeys })) {
    doomed += (await keysToDelete(cache, page, selection)).length
  }
  return doomed
}
