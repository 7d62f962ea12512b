import { expiryOf } from '../value/field-expiry.ts'
import { fromJsonBytes } from '../value/json-bytes.ts'
import type { KeyHead } from '../value/lines.ts'
import type { Item } from '../value/pages.ts'
import type { StreamState } from '../value/stream.ts'
import { type ScriptCommand, scriptCommand } from './script.ts'

/** Elements of one command (a script can pass on about 8,000 arguments), and bytes of one request's JSON. */
export type CommandLimits = { commandItems: number; requestBytes: number }

/**
 * The commands that add items to a value of a type; only a single element may make one larger than a request. Those that let
 * fields of a hash expire come after them: see expiringCommands.
 */
export function* commandsOf(
  { type }: Pick<KeyHead, 'type'>,
  { key, items, stream }: { key: string; items: readonly Item[]; stream?: StreamState | undefined },
  limits: CommandLimits,
): Generator<ScriptCommand> {
  if (type === 'string') {
    for (const item of items) {
      for (const piece of piecesOf(item as Buffer, limits)) yield scriptCommand('APPEND', key, piece)
    }
  } else if (type === 'stream') {
    for (const item of items) {
      const [id, fields] = item as [Buffer, Buffer[]]
      yield scriptCommand('XADD', key, id, ...fields)
    }
    // The only way to have a stream without entries.
    if (items.length === 0) {
      yield scriptCommand('XGROUP', 'CREATE', key, 'none', '0', 'MKSTREAM')
      yield scriptCommand('XGROUP', 'DESTROY', key, 'none')
    }
    if (stream !== undefined) yield* stateCommands(key, items, stream)
  } else {
    const { name, argumentsOf } = adding[type]
    yield* inGroups(items, limits, (group) => scriptCommand(name, key, ...group.flatMap(argumentsOf)))
  }
}

/**
 * Brings a stream to the last id that it had given, and its groups to where they were. Numbers that only Redis 7 keeps are
 * set where they can be.
 */
function* stateCommands(
  key: string,
  items: readonly Item[],
  { lastId, entriesAdded, maxDeletedId, groups }: StreamState,
): Generator<ScriptCommand> {
  if (entriesAdded !== null && maxDeletedId !== null) {
    const numbers = ['ENTRIESADDED', String(entriesAdded), 'MAXDELETEDID', maxDeletedId]
    yield optional('XSETID', key, lastId, ...numbers)
  }
  // For a server that knows no such numbers; after the command above, or when it is the last entry's, the id is refused.
  if (lastId !== lastOf(items)) {
    yield optional('XADD', key, lastId, 'a', 'b')
    yield optional('XDEL', key, lastId)
  }
  for (const { name, lastDeliveredId, entriesRead } of groups) {
    yield scriptCommand('XGROUP', 'CREATE', key, fromJsonBytes(name), lastDeliveredId)
    if (entriesRead === null) continue
    const read = ['ENTRIESREAD', String(entriesRead)]
    yield {
      ...scriptCommand('XGROUP', 'SETID', key, fromJsonBytes(name), lastDeliveredId, ...read),
      optional: true,
    }
  }
}

function lastOf(items: readonly Item[]): string | undefined {
  const last = items.at(-1) as [Buffer, Buffer[]] | undefined
  return last?.[0].toString()
}

function optional(...args: (string | Buffer)[]): ScriptCommand {
  return { ...scriptCommand(...args), optional: true }
}

/**
 * One for each field of a hash that expires by itself: many at the same moment are rare. A field whose time was up meanwhile
 * goes at once, and a hash with its last field, so nothing that needs the key may come after them.
 */
export function* expiringCommands(
  { type }: Pick<KeyHead, 'type'>,
  { key, items }: { key: string | Buffer; items: readonly Item[] },
): Generator<ScriptCommand> {
  if (type !== 'hash') return
  for (const item of items) {
    const expiresAt = expiryOf(item)
    if (expiresAt === null) continue
    yield scriptCommand('HPEXPIREAT', key, String(expiresAt), 'FIELDS', '1', (item as Buffer[])[0] as Buffer)
  }
}

/** Pieces that fit into a request, be it as hex. */
export function* piecesOf(bytes: Buffer, { requestBytes }: CommandLimits): Generator<Buffer> {
  const size = Math.max(1, Math.floor(requestBytes / 4))
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const adding = {
  list: { name: 'RPUSH', argumentsOf: (item: Item) => [item as Buffer] },
  set: { name: 'SADD', argumentsOf: (item: Item) => [item as Buffer] },
  hash: { name: 'HSET', argumentsOf: (item: Item) => (item as Buffer[]).slice(0, 2) },
  zset: { name: 'ZADD', argumentsOf: (item: Item) => (item as Buffer[]).toReversed() },
}

function* inGroups(
  items: readonly Item[],
  { commandItems, requestBytes }: CommandLimits,
  commandOf: (group: Item[]) => ScriptCommand,
): Generator<ScriptCommand> {
  let group: Item[] = []
  let bytes = 0
  for (const item of items) {
    const size = commandOf([item]).bytes
    if (group.length >= commandItems || (group.length > 0 && bytes + size > requestBytes)) {
      yield commandOf(group)
      group = []
      bytes = 0
    }
    group.push(item)
    bytes += size
  }
  if (group.length > 0) yield commandOf(group)
}
