import { z } from 'zod'
import { backupKeys, workKeys } from '../backup/layout.ts'
import { Manifest, type Warning } from '../backup/manifest.ts'
import { getJson, type Storage } from '../backup/storage.ts'
import { CacheWiped } from '../cache/wipe.ts'
import type { Clients } from '../clients.ts'
import { withConnection } from '../database/snapshot.ts'
import { DatabaseWiped } from '../database/wipe.ts'
import { NotFound } from '../errors.ts'
import { FilesWiped } from '../files/wipe.ts'
import { closeRun, findRun, type RunRow } from './ledger.ts'
import { Outcome, shortened, type TargetState } from './outcome.ts'
import { targets } from './strategy.ts'

export const FinishInput = z.object({
  runId: z.string().min(1),
  /** What a Catch gave: the error's name, and as cause Lambda's JSON or a text. */
  error: z.object({ Error: z.string(), Cause: z.string().optional() }).optional(),
})

/** For the Fail state. */
export type Failure = { Error: string; Cause: string }

/** What the ledger's summary of a plan must say for the outcome. */
const Summary = z.object({
  clears: z.array(z.enum(targets)),
  files: z.object({ batches: z.number() }).nullable(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
})
type Summary = z.output<typeof Summary>

type Found = {
  row: RunRow
  summary: Summary | null
  manifest: Manifest | null
  database: DatabaseWiped | null
  files: FilesWiped[]
  cache: CacheWiped | null
}

/** Causes and messages in a state's payload are cut to this many characters. */
const causeMaxLength = 4000

/**
 * State "Finish": writes down what really happened, from what the steps left behind and not from where the machine got.
 * A run that never got its row (refused by a guard) only passes its error on. Repeating it keeps the first end.
 */
export async function finish(
  clients: Clients,
  input: z.output<typeof FinishInput>,
): Promise<Outcome | Failure> {
  return withConnection(clients, async (connection) => {
    const row = await findRun(connection, input.runId)
    if (row === undefined) {
      if (input.error === undefined)
        throw new NotFound(`There is no run ${input.runId} in the ledger, so it cannot be finished`)
      return failureOf(errorOf(input.error, null))
    }
    if (row.outcome !== null) return answer(Outcome.parse(row.outcome))
    const error = input.error === undefined ? null : errorOf(input.error, row)
    const outcome = describe(clients, await find(clients, row), error)
    const closed = await closeRun(connection, {
      runId: row.runId,
      status: outcome.status,
      outcome,
      finishedAt: new Date(outcome.finishedAt),
    })
    return answer(closed?.outcome ? Outcome.parse(closed.outcome) : outcome)
  })
}

function answer(outcome: Outcome): Outcome | Failure {
  const short = shortened(outcome)
  return short.error === null ? short : failureOf(short.error)
}

function failureOf(error: { name: string; message: string }): Failure {
  return { Error: error.name, Cause: error.message.slice(0, causeMaxLength) }
}

/** A Distributed Map says only that children failed; the ledger knows which error it was. */
function errorOf(
  caught: { Error: string; Cause?: string | undefined },
  row: RunRow | null,
): { name: string; message: string } {
  const noted = z.object({ error: z.string(), message: z.string() }).safeParse(row?.failure)
  if (caught.Error === 'States.ExceedToleratedFailureThreshold' && noted.success) {
    return { name: noted.data.error, message: noted.data.message }
  }
  const cause = caught.Cause ?? ''
  try {
    const { errorMessage } = z.object({ errorMessage: z.string() }).parse(JSON.parse(cause))
    return { name: caught.Error, message: errorMessage }
  } catch {
    return { name: caught.Error, message: cause } // not from Lambda: Step Functions' own errors have a plain text
  }
}

async function find(clients: Clients, row: RunRow): Promise<Found> {
  const storage = { s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }
  const summary = row.plan === null ? null : Summary.parse(row.plan)
  const work = workKeys(row)
  const files: FilesWiped[] = []
  for (let batch = 0; batch < (summary?.files?.batches ?? 0); batch++) {
    const wiped = await ifPresent(storage, work.filesWiped(batch), FilesWiped)
    if (wiped !== null) files.push(wiped)
  }
  const manifest =
    row.backupId === null
      ? null
      : await ifPresent(storage, backupKeys(clients.config.BACKUP_PREFIX, row.backupId).manifest, Manifest)
  return {
    row,
    summary,
    manifest,
    files,
    database: row.wiped === null ? null : DatabaseWiped.parse(row.wiped),
    cache: summary?.clears.includes('cache') ? await ifPresent(storage, work.cacheWiped, CacheWiped) : null,
  }
}

function describe(clients: Clients, found: Found, error: Outcome['error']): Outcome {
  const { row, summary, manifest, database, files, cache } = found
  const kept: TargetState = manifest === null ? 'untouched' : 'backed_up'
  const states = {
    database: database !== null ? 'wiped' : manifest?.database ? kept : 'untouched',
    files: stateOfFiles(found, manifest?.files ? kept : 'untouched'),
    cache:
      cache !== null
        ? 'wiped'
        : row.phase === 'Wipe cache'
          ? 'partly_wiped'
          : manifest?.cache
            ? kept
            : 'untouched',
  } satisfies Record<string, TargetState>
  const warnings = collectWarnings(found)
  const sum = (pick: (wiped: FilesWiped) => number) => files.reduce((total, wiped) => total + pick(wiped), 0)
  const isWiped = (state: TargetState) => state === 'wiped' || state === 'partly_wiped'
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    status: error !== null ? 'failed' : warnings.length > 0 ? 'succeeded_with_warnings' : 'succeeded',
    backupId: manifest?.backupId ?? null,
    backupPrefix:
      manifest &&
      `s3://${clients.config.BACKUP_BUCKET}/${backupKeys(clients.config.BACKUP_PREFIX, manifest.backupId).root}`,
    targets: {
      database: {
        state: states.database,
        rows: database?.rows ?? manifest?.database?.rows ?? 0,
        tables:
          database?.tables ??
          Object.fromEntries((manifest?.database?.tables ?? []).map(({ name, rows }) => [name, rows])),
      },
      files: {
        state: states.files,
        objects: isWiped(states.files) ? sum(({ objects }) => objects) : (manifest?.files?.objects ?? 0),
        bytes: isWiped(states.files) ? sum(({ bytes }) => bytes) : (manifest?.files?.bytes ?? 0),
      },
      cache: { state: states.cache, keys: cache?.keys ?? manifest?.cache?.keys ?? 0 },
    },
    warnings: summary === null ? [] : warnings,
    error,
    startedAt: row.startedAt.toISOString(),
    finishedAt: clients.now().toISOString(),
  }
}

function stateOfFiles({ row, summary, files }: Found, otherwise: TargetState): TargetState {
  const batches = summary?.files?.batches ?? 0
  const isOver = row.phase === 'Wipe cache' || row.phase === 'Wipe files'
  if (row.operation !== 'reset' || !summary?.clears.includes('files')) return otherwise
  if (batches > 0)
    return files.length === batches ? 'wiped' : files.length > 0 || isOver ? 'partly_wiped' : otherwise
  // Without files there is no batch to leave a result; the folder is empty all the same once its turn has come.
  return row.wiped !== null || isOver ? 'wiped' : otherwise
}

function collectWarnings({ row, summary, manifest, database, files, cache }: Found): Warning[] {
  const warnings: Warning[] = [
    ...(summary?.warnings ?? []),
    ...(manifest?.warnings ?? []),
    ...(cache?.warnings ?? []),
  ]
  const add = (code: string, count: number, message: string) => {
    if (count > 0) warnings.push({ code, message })
  }
  const appeared = database?.appeared ?? []
  add('TablesAppeared', appeared.length, `Created since the backup, so not wiped: ${appeared.join(', ')}`)
  const changed = files.reduce((sum, wiped) => sum + wiped.changed, 0)
  add(
    'FilesChangedLater',
    changed,
    `${changed} files changed after they were backed up, so they were not deleted`,
  )
  const came = files.reduce((sum, wiped) => sum + wiped.appeared, 0)
  add('FilesAppeared', came, `${came} files came after the backup, so they were not deleted`)
  const failed = files.flatMap((wiped) => wiped.failed)
  const example = failed[0] && ` (${failed[0].key}: ${failed[0].code})`
  add('FilesNotDeleted', failed.length, `${failed.length} or more files could not be deleted${example}`)
  if (cache !== null && manifest?.cache && cache.keys > manifest.cache.keys) {
    const more = cache.keys - manifest.cache.keys
    warnings.push({
      code: 'KeysAppeared',
      message: `${more} more cache keys were wiped than are in the backup: the cache was in use`,
    })
  }
  const byText = new Map(warnings.map((warning) => [`${warning.code} ${warning.message}`, warning]))
  return row.operation === 'claim' ? [] : [...byText.values()]
}

async function ifPresent<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema> | null> {
  try {
    return await getJson(storage, key, schema)
  } catch (error) {
    if (error instanceof NotFound) return null
    throw error
  }
}
