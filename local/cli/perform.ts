import { visibleName } from '../../lib/visible.ts'
import type { Answer } from './answer.ts'
import type { Arguments } from './arguments.ts'
import { type Connected, connect } from './connect.ts'
import type { Wanted } from './request.ts'

/** Connects to the services and carries the command out there. Each command loads only what it needs itself. */
export async function perform(args: Arguments, wanted: Wanted | undefined): Promise<Answer> {
  const { api } = args.flags
  if (api !== undefined) return (await import('./remote/perform.ts')).performOver(api, args, wanted)
  const note = (text: string) => void process.stderr.write(`${visibleName(text)}\n`)
  const connected = await connect(note)
  try {
    if (wanted === undefined) return await ask(connected, args)
    const { carryOut } = await import('./run/carry-out.ts')
    const { json = false, 'into-empty': intoEmpty } = args.flags
    return await carryOut(connected, wanted, { json, intoEmpty })
  } finally {
    await connected.stop()
  }
}

async function ask(connected: Connected, args: Arguments): Promise<Answer> {
  const { command, argument, flags } = args
  if (command === 'runs') return (await import('./commands/runs.ts')).showRuns(connected, argument, flags)
  if (command === 'tokens') return (await import('./commands/tokens.ts')).showTokens(connected)
  if (command === 'schedule') return (await import('./commands/schedule.ts')).showSchedules(connected)
  if (command === 'status') return (await import('./commands/status.ts')).showStatus(connected)
  if (command === 'backups') return (await import('./commands/backups.ts')).showBackups(connected)
  if (command === 'prune') return (await import('./commands/prune.ts')).showPrune(connected, flags)
  if (command === 'pin' || command === 'unpin')
    return (await import('./commands/pin.ts')).setPin(connected, command, argument, flags)
  if (command === 'label') return (await import('./commands/label.ts')).labelBackup(connected, args)
  if (command === 'download') return (await import('./commands/download.ts')).downloadBackup(connected, args)
  if (command === 'upload') return (await import('./commands/upload.ts')).uploadBackup(connected, args)
  if (command === 'cancel') return (await import('./commands/cancel.ts')).cancel(connected, argument)
  return (await import('./commands/options.ts')).listOptions(connected)
}
