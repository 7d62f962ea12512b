import * as z from 'zod'
import { InvalidRequest } from '../../../lib/errors.ts'
import { BackupAnswer } from '../../../lib/http/answers/backup.ts'
import { Options } from '../../../lib/http/answers/options.ts'
import { Run } from '../../../lib/http/answers/run.ts'
import { Status } from '../../../lib/http/answers/status.ts'
import { ScheduleInfo } from '../../../lib/http/routes/schedules.ts'
import { TokenInfo } from '../../../lib/http/routes/tokens.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import { backupLine, heading } from '../commands/backups.ts'
import { scheduleText } from '../commands/schedule.ts'
import { statusAnswer } from '../commands/status.ts'
import { tokensAnswer } from '../commands/tokens.ts'
import { commandLine } from '../program.ts'
import type { Wanted } from '../request.ts'
import { showOptions } from '../show/options.ts'
import { list } from '../show/table.ts'
import { accessTo } from './address.ts'
import { carryOutOver, sessionOf } from './carry-out.ts'
import { type Api, apiOf } from './client.ts'
import { runAnswer, runLineOf } from './show-run.ts'

/** Carries a command out over an API, with a token alone: what may be done is what the token may. */
export async function performOver(api: string, args: Arguments, wanted: Wanted | undefined): Promise<Answer> {
  if (args.flags['into-empty'])
    throw new InvalidRequest(
      '--into-empty makes tables in the database itself, and cannot be done over --api. Nothing was touched',
    )
  const client = apiOf(accessTo(api, args.flags['token-file']))
  return wanted === undefined
    ? ask(client, args)
    : carryOutOver(client, wanted, { json: args.flags.json ?? false })
}

const part = encodeURIComponent
const Pinned = z.object({ backupId: z.string(), pinned: z.boolean() })

async function ask(api: Api, args: Arguments): Promise<Answer> {
  const { command, argument, second, flags } = args
  const about = (what: string) => {
    if (argument !== undefined) return part(argument)
    throw new WrongUsage(`${command} needs the id of a ${what}`, command)
  }
  switch (command) {
    case 'options': {
      const options = await api.ask('GET', '/v1/options', Options)
      return { document: options, text: showOptions(options), code: 0 }
    }
    case 'backups':
      return backups(api)
    case 'runs':
      return argument === undefined
        ? runs(api, flags)
        : runAnswer(await api.ask('GET', `/v1/runs/${part(argument)}`, Run), await sessionOf(api))
    case 'cancel': {
      const run = await api.ask('POST', `/v1/runs/${about('run')}/cancel`, Run)
      return {
        document: run,
        text: `Run ${run.runId} is cancelled. Nothing was wiped, restored or deleted.\n`,
        code: 0,
      }
    }
    case 'pin':
    case 'unpin': {
      const body = { pinned: command === 'pin', ...(flags['allow-foreign'] && { allowForeign: true }) }
      const { backupId, pinned } = await api.ask('PUT', `/v1/backups/${about('backup')}/pin`, Pinned, {
        body,
      })
      const text = pinned ? 'is pinned: it is not deleted until it is unpinned' : 'is not pinned'
      return { document: { backupId, pinned }, text: `${backupId} ${text}.\n`, code: 0 }
    }
    case 'label': {
      const { note, remove } = flags
      const body = remove
        ? { label: null, note: null }
        : {
            ...(second !== undefined && { label: second }),
            ...(note !== undefined && { note: note === '' ? null : note }),
          }
      const named = await api.ask(
        'PATCH',
        `/v1/backups/${about('backup')}`,
        BackupAnswer.pick({ backupId: true, labels: true, note: true }).loose(),
        { body },
      )
      return {
        document: named,
        text: `${named.backupId} is called ${named.labels?.join(', ') || 'nothing'}${named.note ? `: ${named.note}` : ''}.\n`,
        code: 0,
      }
    }
    case 'download':
      return (await import('./download.ts')).downloadOver(api, args)
    case 'tokens': {
      const { tokens } = await api.ask('GET', '/v1/tokens', z.object({ tokens: z.array(TokenInfo) }))
      return tokensAnswer(tokens, new Date())
    }
    case 'status':
      return statusAnswer(await api.ask('GET', '/v1/status', Status), new Date())
    case 'schedule': {
      const { schedules } = await api.ask(
        'GET',
        '/v1/schedules',
        z.object({ schedules: z.array(ScheduleInfo) }),
      )
      return { document: { schedules }, text: scheduleText(schedules), code: 0 }
    }
    default:
      throw new InvalidRequest(
        `${command} cannot be done over --api. It works where the services themselves are named`,
      )
  }
}

const BackupPage = z.object({
  backups: z.array(BackupAnswer),
  unreadable: z.array(z.object({ backupId: z.string(), reason: z.string() })),
  next: z.string().nullable(),
})

/** All pages. */
async function backups(api: Api): Promise<Answer> {
  const all: z.output<typeof BackupPage> = { backups: [], unreadable: [], next: null }
  for (let before: string | null | undefined; before !== null; ) {
    const query = before === undefined ? '' : `&before=${part(before)}`
    const page = await api.ask('GET', `/v1/backups?limit=100${query}`, BackupPage)
    all.backups.push(...page.backups)
    all.unreadable.push(...page.unreadable)
    before = page.next
  }
  const now = new Date()
  const broken = all.unreadable.map(({ backupId, reason }) => `${backupId}  UNREADABLE: ${reason}\n`).join('')
  const text =
    list(
      heading,
      all.backups.map((backup) => backupLine(backup, now, backup)),
    ) + broken
  const { next: _, ...document } = all
  return { document, text: text === '' ? 'No backup.\n' : text, code: 0 }
}

const RunPage = z.object({ runs: z.array(Run), next: z.string().nullable() })

async function runs(api: Api, { limit = '50', before }: Arguments['flags']): Promise<Answer> {
  const query = new URLSearchParams({ limit, ...(before !== undefined && { before }) })
  const page = await api.ask('GET', `/v1/runs?${query}`, RunPage)
  const text = list(['started', 'run', 'operation', 'strategy', 'end', 'backup'], page.runs.map(runLineOf))
  const none = before === undefined ? 'No run yet.\n' : 'No run began before that one.\n'
  const more =
    page.next === null
      ? ''
      : `\nEarlier ones: ${commandLine('runs', '--before', page.next, '--api', api.url)}\n`
  return { document: page, text: text === '' ? none : text + more, code: 0 }
}
