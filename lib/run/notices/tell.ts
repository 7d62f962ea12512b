import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../../clients.ts'
import type { Notice, Noticed } from '../../config/calls.ts'
import { lockNotices, noteNotice } from '../../ledger/calls/notices.ts'
import { logger } from '../../log.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { eventFor, type Happening, send } from './send.ts'

type Told = { notice: Notice; event: Noticed }

/** Tries of one notice in one invocation, and milliseconds between them. Lambda repeats the invocation, minutes later. */
const [tries, pauseMs] = [2, 1000]

/**
 * Tells everybody who is to be told, and each once. One that cannot be reached keeps nobody else from being told.
 * @returns the names of those that could not be, with the reason
 */
export async function tell(
  clients: Clients,
  happening: Happening,
  signal: AbortSignal,
): Promise<{ name: string; reason: string }[]> {
  const due = clients.config.NOTICES.flatMap((notice): Told[] => {
    const event = eventFor(notice, happening)
    return event === undefined ? [] : [{ notice, event }]
  })
  if (due.length === 0) return []
  const key = { about: happening.about, event: happening.moment }
  return withConnection(clients, async (connection) => {
    const sent = await lockNotices(connection, key)
    const left = due.filter(({ notice }) => !sent?.has(notice.name))
    const failed: { name: string; reason: string }[] = []
    const all = await Promise.all(
      left.map(async (one) => ({ ...one, error: await tellOne(clients, one, { happening, signal }) })),
    )
    for (const { notice, event, error } of all) {
      const about = { about: happening.about, event, notice: notice.name }
      if (error === null) logger.info('notice sent', about)
      else logger.warn('a notice could not be delivered', { ...about, reason: error })
      if (error !== null) failed.push({ name: notice.name, reason: error })
      if (sent !== null) await noteNotice(connection, { ...key, name: notice.name, error })
    }
    return failed
  })
}

async function tellOne(
  clients: Clients,
  { notice, event }: Told,
  { happening, signal }: { happening: Happening; signal: AbortSignal },
): Promise<string | null> {
  for (let tried = 1; ; tried++) {
    const error = await send(clients, notice, { happening, event, signal })
    if (error === null || tried >= tries || signal.aborted) return error
    await setTimeout(pauseMs)
  }
}
