import { getOptions } from '../../lib/run/options.ts'
import type { Answer } from './answer.ts'
import type { Arguments } from './arguments.ts'
import { cancel } from './cancel.ts'
import { carryOut } from './carry-out.ts'
import { type Connected, connect } from './connect.ts'
import { showBackups } from './list-backups.ts'
import { showRuns } from './list-runs.ts'
import { setPin } from './pin.ts'
import { showPrune } from './prune.ts'
import type { Wanted } from './request.ts'
import { showOptions } from './show-options.ts'
import { verify } from './verify.ts'

/** Connects to the services and carries the command out there. */
export async function perform(args: Arguments, wanted: Wanted | undefined): Promise<Answer> {
  const connected = await connect((note) => process.stderr.write(`${note}\n`))
  try {
    return wanted === undefined
      ? await ask(connected, args)
      : await carryOut(connected, wanted, { json: args.flags.json ?? false })
  } finally {
    await connected.stop()
  }
}

async function ask(connected: Connected, { command, argument, flags }: Arguments): Promise<Answer> {
  if (command === 'runs') return showRuns(connected, argument)
  if (command === 'backups') return showBackups(connected)
  if (command === 'verify') return verify(connected, argument, flags)
  if (command === 'prune') return showPrune(connected, flags)
  if (command === 'pin' || command === 'unpin') return setPin(connected, command, argument)
  if (command === 'cancel') return cancel(connected, argument)
  const options = await getOptions(connected.clients)
  return { document: options, text: showOptions(options), code: 0 }
}
