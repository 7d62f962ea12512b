import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { text } from 'node:stream/consumers'
import { InvalidRequest, messageOf } from '../../lib/errors.ts'
import { needsConfirm } from '../../lib/operations.ts'
import { parseRequest, type Request, requests } from '../../lib/run/request.ts'
import { strategies } from '../../lib/run/strategy.ts'
import { type Arguments, WrongUsage } from './arguments.ts'
import { didYouMean } from './did-you-mean.ts'
import type { Command } from './table/command.ts'
import { commands } from './table/commands.ts'
import type { OptionText } from './table/option-text.ts'
import { type Flags, type OptionName, optionTexts } from './table/options.ts'

/** A request as it is sent, and as it is understood. */
export type Wanted = { sent: Record<string, unknown>; request: Request }

/** The request that the command line asks for, or the one that `--request` holds. @throws InvalidRequest */
export async function requestOf(args: Arguments): Promise<Wanted> {
  const sent = args.flags.request === undefined ? fromFlags(args) : await fromText(args, args.flags.request)
  const request = parseRequest(sent)
  if (request.operation !== args.command) {
    throw new InvalidRequest(
      `The request's operation is "${request.operation}", but the command is "${args.command}". Use the command ${request.operation}`,
    )
  }
  return { sent: { requestedBy: requester(), ...(sent as Record<string, unknown>) }, request }
}

/** The same request with the confirmation that was typed. */
export function confirmed({ sent, request }: Wanted, confirm: string): Wanted {
  return { sent: { ...sent, confirm }, request: { ...request, confirm } }
}

/** The same about the backup that was shown before the name was typed: what the request calls it may mean another one since. */
export function aboutShown({ sent, request }: Wanted, shown: string | undefined): Wanted {
  if (shown === undefined) return { sent, request }
  const said = request.operation === 'reset' ? { toBackupId: shown } : { backupId: shown }
  return { sent: { ...sent, ...said }, request: { ...request, ...said } as Request }
}

function fromFlags({ command, argument, second: to, flags }: Arguments): Record<string, unknown> {
  const { argument: wanted }: Command = commands[command]
  if (wanted === '<strategy>' && argument === undefined) {
    throw new WrongUsage(`${command} needs a strategy: what is to be wiped`, command)
  }
  if (takes(command, 'strategy') && argument !== undefined && !strategies.some((one) => one === argument)) {
    throw new WrongUsage(
      `There is no strategy "${argument}".${didYouMean(argument, strategies)} The strategies are ${strategies.join(', ')}`,
      command,
    )
  }
  const isOnBackup = takes(command, 'backupId')
  if (isOnBackup && argument === undefined) {
    throw new WrongUsage(`${command} needs the id of a backup or its label; "backups" lists them`, command)
  }
  const [first, contrary] = (['rehearse', 'rehearse-all', 'no-rehearse'] as const).filter(
    (name) => flags[name],
  )
  if (contrary !== undefined) {
    throw new WrongUsage(`--${first} and --${contrary} contradict each other`, command)
  }
  return {
    operation: command,
    ...(argument !== undefined && { [isOnBackup ? 'backupId' : 'strategy']: argument }),
    ...(to !== undefined && { to }),
    ...fieldsOf(flags),
  }
}

/** The fields of a request that the options stand for. */
function fieldsOf(flags: Flags): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [name, said] of Object.entries(flags)) {
    const {
      field,
      isNumber,
      means = isNumber ? numberOf(said) : said,
    }: OptionText = optionTexts[name as OptionName]
    if (field === undefined) continue
    const [outer = '', inner] = field.split('.')
    fields[outer] = inner === undefined ? means : { ...(fields[outer] as object), [inner]: means }
  }
  return fields
}

/** What is none is refused as it was said. */
function numberOf(said: unknown): unknown {
  return /^\d+$/.test(String(said)) ? Number(said) : said
}

async function fromText({ command, argument, flags }: Arguments, given: string): Promise<unknown> {
  const { request: _, json: __, api: ___, 'token-file': ____, ...others } = flags
  const other = argument ?? Object.keys(others).map((name) => `--${name}`)[0]
  if (other !== undefined) {
    throw new WrongUsage(`--request holds the whole request, so ${other} cannot be given as well`, command)
  }
  const json =
    given === '-' ? await text(process.stdin) : given.startsWith('@') ? await fileText(given) : given
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new InvalidRequest(
      `--request is not JSON: ${messageOf(cause)}. A right one: ${exampleOf(command)}`,
      { cause },
    )
  }
}

export function exampleOf(command: string): string {
  const about = takes(command, 'backupId')
    ? { backupId: '2026-11-22T19-05-33Z-3f9a2c' }
    : takes(command, 'strategy')
      ? { strategy: 'full' }
      : {}
  const confirm = needsConfirm(command) ? { confirm: 'staging' } : {}
  return JSON.stringify({ operation: command, ...about, ...confirm })
}

/** Whether a request of that name has the field. */
function takes(command: string, field: 'backupId' | 'strategy'): boolean {
  return Object.hasOwn(requests, command) && field in requests[command as keyof typeof requests].shape
}

async function fileText(given: string): Promise<string> {
  try {
    return await readFile(given.slice(1), 'utf8')
  } catch (cause) {
    throw new InvalidRequest(`--request ${given} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Who asks, for the ledger. A user id without a name, as containers have them, is no reason to fail. */
export function requester(): string {
  try {
    return `cli ${userInfo().username}`
  } catch {
    return `cli uid ${process.getuid?.() ?? 'unknown'}`
  }
}
