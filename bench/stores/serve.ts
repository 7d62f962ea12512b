import { once } from 'node:events'
import { messageOf } from '../../lib/errors.ts'
import type { Sent } from './service.ts'

/**
 * What a process that service.ts starts does: starts with the settings that it is sent, answers each message when it is
 * carried out, and ends when nobody is there any more to ask it.
 */
export async function serve<Settings, Message>(
  start: (
    settings: Settings,
  ) => Promise<{ started: unknown; onMessage?: (message: Message) => Promise<void> }>,
): Promise<void> {
  // A Ctrl-C goes to all processes of a terminal, and this one is needed until the last of the others is done.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('disconnect', () => process.exit())
  const send = (sent: Sent) => process.send?.(sent)
  const [settings] = await once(process, 'message')
  try {
    const { started, onMessage } = await start(settings as Settings)
    process.on('message', (message) => {
      const done = onMessage?.(message as Message) ?? Promise.resolve()
      done.then(
        () => send({ done: true }),
        (error: unknown) => send({ failed: messageOf(error) }),
      )
    })
    send({ started })
  } catch (error) {
    send({ failed: messageOf(error) })
  }
}
