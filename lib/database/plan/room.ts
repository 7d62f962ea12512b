import { bytes as inUnits } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { LimitExceeded } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { bytesHeld, leastHeld } from '../locks/duration.ts'

/** Bytes that all databases together may have, and have. */
export type Room = { limit: number; used: number }

/** As Neon's plan limits it; null: the server has no such limit, or says nothing of it. The disk of a server cannot be asked for. */
export async function readRoom(connection: Connection): Promise<Room | null> {
  const found = await connection.query(`SELECT current_setting('neon.max_cluster_size', true) AS setting`)
  const limit = bytesOfSetting(found.rows[0]?.setting ?? '')
  if (limit === null) return null
  const sizes = await connection.query(
    `SELECT sum(pg_database_size(oid))::float8 AS used FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')`,
  )
  return { limit, used: sizes.rows[0]?.used }
}

const units: Record<string, number> = { kB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 }

/** A setting in megabytes, as SHOW writes it. 0 and less are no limit. */
export function bytesOfSetting(setting: string): number | null {
  const [, amount = '', unit = 'MB'] = /^(\d+)(kB|MB|GB|TB)?$/.exec(setting) ?? []
  const bytes = Number(amount) * (units[unit] ?? 0)
  return bytes > 0 ? bytes : null
}

/**
 * Says before any lock when the rows of a backup have no room beside those that they replace, which go with the COMMIT:
 * the server would refuse them then, and whatever the application writes elsewhere until they are gone again. JSON may be
 * any number of times as long as what it makes, so it only warns.
 * @throws LimitExceeded
 * @see docs/decisions.md#a-restore-needs-room-in-neons-plan-a-rehearsal-does-not
 */
export function checkRoom(tables: readonly BackedUpTable[], room: Room | null): Warning[] {
  if (room === null) return []
  const left = Math.max(0, room.limit - room.used)
  const [least, most] = [leastHeld(tables), bytesHeld(tables)]
  if (most <= left) return []
  const range = least === most ? inUnits(least) : `${inUnits(least)} to ${inUnits(most)}`
  const sentence = `The restore would write ${range} of rows, and their indexes, beside those that they replace, which go when it is done; of the ${inUnits(room.limit)} that Neon lets the project have (neon.max_cluster_size) ${inUnits(left)} are left`
  const instead = "raise the plan's limit, or empty the tables first by a reset, which backs them up"
  if (least > left) throw new LimitExceeded(`${sentence}. Nothing was touched; ${instead}`)
  const message = `${sentence}: it may run out of room, with nothing changed. If so, ${instead}`
  return [{ code: 'MayRunOutOfRoom', message }]
}
