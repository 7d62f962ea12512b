import { readBackup } from '../../../lib/backup/read.ts'
import type { Clients } from '../../../lib/clients.ts'
import { placesOf } from '../../../lib/config/places.ts'
import { named } from '../../../lib/http/request/backup-name.ts'
import { readToldRows } from '../../../lib/run/on-backup/diff-rows.ts'
import { getOptions } from '../../../lib/run/options.ts'
import { type Request, wantsConfirm } from '../../../lib/run/request.ts'
import { refusalOf } from '../../../lib/run/words/would-do.ts'
import { visible } from '../../../lib/visible.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { exitCodeOf } from '../exit-code.ts'
import { aboutShown, confirmed, type Wanted } from '../request.ts'
import { showDelete, showReset, showResetTo, showRestore } from '../show/options.ts'
import { documentOf, showOutcome } from '../show/outcome.ts'
import { showPlaces } from '../show/places.ts'
import { progressOn } from '../show/progress.ts'
import { showRows } from '../show/rows.ts'
import { askForName, needsName } from './confirm.ts'
import { type Followed, followRun } from './follow.ts'
import { answerInterrupt, interruptAnswer, listenForInterruption } from './interrupt.ts'
import { makeTables, readDefinitionOf, showDefinition } from './into-empty.ts'
import { startWanted } from './start.ts'

/** Commands "backup", "reset", "restore", "verify", "diff", "delete" and "claim": starts the run and waits for its end. */
export async function carryOut(
  connected: Connected,
  given: Wanted,
  { json, intoEmpty = false }: { json: boolean; intoEmpty?: boolean | undefined },
): Promise<Answer> {
  const { clients } = connected
  const { request } = given
  const { config } = clients
  const asks = needsName(request)
  // What a dry run finds is told at its end.
  const isShown = (asks || !json) && !('dryRun' in request && request.dryRun)
  const definition = intoEmpty ? await readDefinitionOf(clients, request) : null
  if (isShown && definition !== null) tell(showDefinition(definition))
  const shown = isShown && definition === null ? await consequencesOf(clients, request) : undefined
  if (shown !== undefined) tell(shown.text)
  if (isShown && wantsConfirm(request)) tell(showPlaces(placesOf(config), request))
  const typed = asks ? await askForName(config.ENVIRONMENT, request) : undefined
  if (typed === 'nothing') return interruptAnswer('No name was typed. Nothing was started or touched.')
  const said = typed === undefined ? given : aboutShown(confirmed(given, typed.name), shown?.backupId)
  const wanted = aboutShown(said, definition?.backupId)
  if (definition !== null) await makeTables(clients, wanted.request, definition)
  const view = progressOn(process.stderr)
  let started: Awaited<ReturnType<typeof startWanted>> | undefined
  for (;;) {
    const interruption = listenForInterruption()
    try {
      // From here on there may be a run: Ctrl-C must not end the process without a word of it.
      started ??= await startWanted(clients, wanted)
      const { runId, replayed } = started
      const followed = await followRun(clients, runId, view, interruption.first)
      const repeats = followed.repeats ?? (replayed ? runId : undefined)
      const answer = answerOf(connected, { ...followed, repeats })
      return tellsRows(request, followed) ? await withRows(clients, answer, followed.outcome) : answer
    } catch (error) {
      if (!interruption.first.aborted || started === undefined) throw error
      view.end()
      const left = await answerInterrupt(connected, started.runId, interruption.second)
      if (left !== 'goes on') return left
    } finally {
      interruption.forget()
    }
  }
}

/** What a person is shown before the name is asked for, and of which backup. */
async function consequencesOf(
  clients: Clients,
  request: Request,
): Promise<{ text: string; backupId?: string }> {
  const find = async (name: string) =>
    readBackup(clients.backups, clients.config.BACKUP_PREFIX, await named(clients, name))
  switch (request.operation) {
    case 'reset': {
      const options = await getOptions(clients, request.preserve)
      if (request.to === undefined) return { text: showReset(options, request) }
      const backup = await find(request.to)
      return { text: showResetTo(options, backup, request), backupId: backup.backupId }
    }
    case 'restore': {
      const backup = await find(request.backupId)
      return { text: showRestore(await getOptions(clients), backup, request), backupId: backup.backupId }
    }
    case 'delete': {
      const backup = await find(request.backupId)
      return { text: showDelete(backup), backupId: backup.backupId }
    }
    default:
      return { text: '' }
  }
}

function tell(text: string): void {
  process.stderr.write(visible(text))
}

function tellsRows(request: Request, { outcome }: Followed): boolean {
  return request.operation === 'diff' && request.rows !== undefined && outcome.error === null
}

/** They stand in no outcome. */
async function withRows(
  clients: Clients,
  { document, text, code }: Answer,
  { runId, subject }: Followed['outcome'],
): Promise<Answer> {
  const rows = await readToldRows(clients, runId)
  return {
    document: { ...(document as object), rows },
    text: text + showRows(rows, subject?.to !== undefined),
    code,
  }
}

function answerOf(connected: Connected, { outcome, row, repeats, didNotBegin }: Followed): Answer {
  const plan = row?.plan ?? null
  // A dry run ends well also when it found that the run would be refused: for a script that is the answer.
  const ended = refusalOf(outcome.refusal, outcome.error) ?? outcome.error
  return {
    document: documentOf(outcome, plan),
    text: showOutcome(outcome, {
      ...{ plan, repeats, didNotBegin, status: row?.status },
      ...{ environment: connected.clients.config.ENVIRONMENT, isGone: connected.isGoneAfterwards },
    }),
    code: ended === null ? 0 : exitCodeOf(ended.name),
  }
}
