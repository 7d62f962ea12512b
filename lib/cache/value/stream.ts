import * as z from 'zod'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { command } from '../../redis/command.ts'
import { asBytes, asList, asNumber, asText, type Reply } from '../../redis/reply.ts'
import { JsonBytes, toJsonBytes } from './json-bytes.ts'

const id = z.string().regex(/^\d+-\d+$/)
const count = z.number().int().nonnegative()

/**
 * What a stream holds besides its entries: the last id it gave, how many entries were ever added and the greatest id that
 * was deleted (null before Redis 7), and its consumer groups with how far each has read. Not which entries consumers have
 * taken and not acknowledged.
 */
export const StreamState = z.strictObject({
  lastId: id,
  entriesAdded: count.nullable(),
  maxDeletedId: id.nullable(),
  groups: z.array(
    z.strictObject({
      name: JsonBytes,
      lastDeliveredId: id,
      entriesRead: count.nullable(),
    }),
  ),
})
export type StreamState = z.output<typeof StreamState>

/** Reads the state of a stream; null: the server does not tell it. `pending`: entries that are taken and not acknowledged. */
export async function readStreamState(
  cache: BinaryRedis,
  key: Buffer,
): Promise<{ state: StreamState; pending: number } | null> {
  const [stream, groups] = await cache.send([
    command('XINFO', 'STREAM', key),
    command('XINFO', 'GROUPS', key),
  ])
  if (stream?.result === undefined || groups?.result === undefined) return null
  const told = fieldsOf(stream.result)
  const each = asList(groups.result).map(fieldsOf)
  if (!told.has('last-generated-id')) return null
  return {
    state: {
      lastId: asText(told.get('last-generated-id')),
      entriesAdded: numberOf(told.get('entries-added')),
      maxDeletedId: told.has('max-deleted-entry-id') ? asText(told.get('max-deleted-entry-id')) : null,
      groups: each.map((group) => ({
        name: toJsonBytes(asBytes(group.get('name'))),
        lastDeliveredId: asText(group.get('last-delivered-id')),
        entriesRead: numberOf(group.get('entries-read')),
      })),
    },
    pending: each.reduce((sum, group) => sum + asNumber(group.get('pending') ?? 0), 0),
  }
}

function fieldsOf(reply: Reply): Map<string, Reply> {
  const list = asList(reply)
  const fields = new Map<string, Reply>()
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(asText(list[at]), list[at + 1] ?? null)
  return fields
}

function numberOf(reply: Reply | undefined): number | null {
  return reply === undefined || reply === null ? null : asNumber(reply)
}
