import * as z from 'zod'
import type { RunRow } from '../../ledger/runs.ts'
import { logger } from '../../log.ts'
import { Outcome } from '../outcome.ts'
import { warningsOf } from './event.ts'

type Metric = { name: string; unit: 'Count' | 'Milliseconds' | 'Seconds' | 'Bytes'; value: number }

/**
 * Writes metrics into the log, in the form that CloudWatch makes them of.
 * @param namespace the machine's name
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function emit(
  namespace: string,
  at: Date,
  metrics: readonly Metric[],
  dimensions: Readonly<Record<string, string>> = {},
): void {
  if (metrics.length === 0) return
  logger.info('metrics', {
    _aws: {
      Timestamp: at.getTime(),
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [Object.keys(dimensions)],
          Metrics: metrics.map(({ name, unit }) => ({ Name: name, Unit: unit })),
        },
      ],
    },
    ...dimensions,
    ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])),
  })
}

/** What is counted of a run that is over. `proved`: when the newest backup was taken that was loaded and compared. */
export function emitRun(
  namespace: string,
  row: RunRow,
  { now, proved }: { now: Date; proved: Date | null },
): void {
  const took = (row.finishedAt ?? now).getTime() - row.startedAt.getTime()
  const about = { Operation: row.operation, Status: row.status }
  emit(
    namespace,
    now,
    [
      { name: 'Runs', unit: 'Count', value: 1 },
      { name: 'Duration', unit: 'Milliseconds', value: took },
    ],
    about,
  )
  for (const [step, milliseconds] of stepsOf(row))
    emit(namespace, now, [{ name: 'StepDuration', unit: 'Milliseconds', value: milliseconds }], {
      Step: step,
    })
  emit(namespace, now, [...amountsOf(row), ...ageOf(proved, now)])
}

function amountsOf(row: RunRow): Metric[] {
  const outcome = Outcome.safeParse(row.outcome).data
  if (outcome === undefined) return []
  const { database, files } = outcome.targets
  const outdated = warningsOf(row).filter(({ code }) => code === 'BaselineOutdated').length
  return [
    { name: 'Rows', unit: 'Count', value: database.rows },
    { name: 'Bytes', unit: 'Bytes', value: files.bytes },
    { name: 'TakenOverRows', unit: 'Count', value: database.takenOver?.rows ?? 0 },
    { name: 'OutdatedBaselines', unit: 'Count', value: outdated },
  ]
}

function ageOf(proved: Date | null, now: Date): Metric[] {
  if (proved === null) return []
  return [
    {
      name: 'ProvedBackupAge',
      unit: 'Seconds',
      value: Math.round((now.getTime() - proved.getTime()) / 1000),
    },
  ]
}

const Steps = z.record(z.string(), z.object({ from: z.coerce.date(), to: z.coerce.date().nullish() }))

/** How long each step was at work, of those that have ended. */
function stepsOf({ steps }: RunRow): [string, number][] {
  return Object.entries(Steps.safeParse(steps).data ?? {}).flatMap(
    ([step, { from, to }]): [string, number][] =>
      to ? [[step, Math.max(0, to.getTime() - from.getTime())]] : [],
  )
}
