import { bytes, utc } from '../../../lib/amounts.ts'
import { BackupDetails } from '../../../lib/http/answers/backup.ts'
import { Options } from '../../../lib/http/answers/options.ts'
import { Run } from '../../../lib/http/answers/run.ts'
import { Session } from '../../../lib/http/answers/session.ts'
import { Started } from '../../../lib/http/answers/start.ts'
import { ToldRows } from '../../../lib/http/answers/told-rows.ts'
import { type Request, wantsConfirm } from '../../../lib/run/request.ts'
import { visible, visibleName } from '../../../lib/visible.ts'
import type { Answer } from '../answer.ts'
import { commandLine } from '../program.ts'
import { aboutShown, confirmed, type Wanted } from '../request.ts'
import { askForName, needsName } from '../run/confirm.ts'
import { askToCancel, interruptAnswer, listenForInterruption } from '../run/interrupt.ts'
import { showReset } from '../show/options.ts'
import { showPlaces } from '../show/places.ts'
import { progressOn } from '../show/progress.ts'
import { showRows } from '../show/rows.ts'
import type { Api } from './client.ts'
import { followOver } from './follow.ts'
import { runAnswer } from './show-run.ts'

/** The commands that start a run, over the API: what goes is shown, the name is asked for, and the end is waited for. */
export async function carryOutOver(api: Api, given: Wanted, { json }: { json: boolean }): Promise<Answer> {
  const { request } = given
  const session = await sessionOf(api)
  const asks = needsName(request)
  const isDry = 'dryRun' in request && request.dryRun
  const isShown = (asks || !json) && !isDry && wantsConfirm(request)
  const shown = isShown ? await consequencesOf(api, request) : undefined
  if (shown !== undefined) {
    tell(shown.text)
    tell(showPlaces(session.where, request))
  }
  const typed = asks ? await askForName(visibleName(session.environment), request) : undefined
  if (typed === 'nothing') return interruptAnswer('No name was typed. Nothing was started or touched.')
  const { sent } = typed === undefined ? given : aboutShown(confirmed(given, typed.name), shown?.backupId)
  const { requestedBy: _, scheduledTime: __, idempotencyKey, ...body } = sent
  const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': String(idempotencyKey) }
  const { runId } = await api.ask('POST', '/v1/runs', Started, { body, headers })
  const view = progressOn(process.stderr)
  for (;;) {
    const interruption = listenForInterruption()
    try {
      const run = await followOver(api, runId, view, interruption.first)
      const answer = runAnswer(run, session, true)
      return run.plan?.rows === undefined || run.error !== null ? answer : await withRows(api, run, answer)
    } catch (error) {
      if (!interruption.first.aborted) throw error
      view.end()
      const left = await leaveOrCancel(api, runId, interruption.second)
      if (left !== 'goes on') return left
    } finally {
      interruption.forget()
    }
  }
}

/** A diff that was asked for rows: they stand in no outcome. */
async function withRows(
  { ask }: Api,
  { runId, outcome }: Run,
  { document, text, code }: Answer,
): Promise<Answer> {
  const rows = await ask('GET', `/v1/runs/${encodeURIComponent(runId)}/rows`, ToldRows)
  const shown = showRows(rows, outcome?.subject?.to !== undefined)
  return { document: { ...(document as object), rows }, text: text + shown, code }
}

/** Where the API is, and of which environment. */
export async function sessionOf(api: Api) {
  const session = await api.ask('GET', '/v1/session', Session)
  return { ...session, access: ['--api', api.url] }
}

/** What Ctrl-C means: as with the services themselves, a person decides as long as nothing is changed. */
async function leaveOrCancel(api: Api, runId: string, again: AbortSignal): Promise<Answer | 'goes on'> {
  const path = `/v1/runs/${encodeURIComponent(runId)}`
  const { cancellable } = await api.ask('GET', path, Run)
  const wanted = cancellable
    ? await askToCancel(visibleName(runId), { choices: ['cancel', 'leave'], otherwise: 'leave' }, again)
    : 'leave'
  if (wanted === 'go on') return 'goes on'
  if (wanted === 'cancel') {
    await api.ask('POST', `${path}/cancel`, Run)
    return interruptAnswer(`The run ${runId} is cancelled. Nothing was wiped, restored or deleted.`)
  }
  const command = (name: string) => commandLine(name, runId, '--api', api.url)
  return interruptAnswer(
    cancellable
      ? `The run ${runId} goes on. To cancel it, as long as it has changed nothing: ${command('cancel')}. To look at it: ${command('runs')}`
      : `The run ${runId} goes on, and cannot be cancelled any more. To look at it: ${command('runs')}`,
  )
}

async function consequencesOf(api: Api, request: Request): Promise<{ text: string; backupId?: string }> {
  const named = 'backupId' in request ? request.backupId : 'to' in request ? request.to : undefined
  const backup = named === undefined ? { text: '' } : await describe(api, named)
  if (request.operation !== 'reset') return backup
  const options = await api.ask('GET', '/v1/options', Options)
  return { ...backup, text: showReset(options, request) + backup.text }
}

async function describe(api: Api, name: string): Promise<{ text: string; backupId: string }> {
  const found = await api.ask('GET', `/v1/backups/${encodeURIComponent(name)}`, BackupDetails)
  const proof = found.rehearsedAt === null ? 'read back' : `rehearsed ${utc(found.rehearsedAt)}`
  const from = found.imported === undefined ? '' : `, imported from ${found.imported.from}`
  const text = `\nThe backup ${found.backupId} of the environment "${found.environment}" (${found.strategy}, ${bytes(found.bytes)}, ${proof}${from}).\n`
  return { text, backupId: found.backupId }
}

function tell(text: string): void {
  process.stderr.write(visible(text))
}
