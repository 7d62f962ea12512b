import * as z from 'zod'

const count = z.number().int().nonnegative()
const ObjectProblem = z.strictObject({
  key: z.string(),
  problem: z.enum(['missing', 'changed', 'truncated']),
  detail: z.string(),
})
/** What is wrong with one object of a backup. `truncated`: it holds the beginning, or less, of what it should. */
export type ObjectProblem = z.output<typeof ObjectProblem>

/** `byEtagOnly`: the object is of the right size and version, but has no digest that its bytes could be compared with. */
export type Checked = { problem: ObjectProblem | null; bytes: number; byEtagOnly: boolean }

const Extra = z.strictObject({ key: z.string(), problem: z.literal('extra'), detail: z.string() })
/** An object in a backup's folder that no reader of the backup reads. */
export type Extra = z.output<typeof Extra>

/**
 * What was found of some objects. `objects` and `bytes` of those that were looked at; `accounted`: with those that are
 * missing. `byEtagOnly`: files whose content could not be compared with a digest, because S3 gave them an ETag that is none
 * (KMS, copies in parts). Of `problems` and `extra`, 1,000 each are named and all are counted in `found`.
 */
export const BatchFound = z.strictObject({
  objects: count,
  bytes: count,
  byEtagOnly: count,
  accounted: count,
  problems: z.array(ObjectProblem),
  extra: z.array(Extra),
  found: z.strictObject({ problems: count, extra: count }),
})
export type BatchFound = z.output<typeof BatchFound>

/** So many of each kind are named; all are counted. */
const namedOfEach = 1000

/** Collects findings in bounded memory: of a backup that lost a million files, the first thousand say enough. */
export class Findings {
  readonly told: BatchFound = {
    ...{ objects: 0, bytes: 0, byEtagOnly: 0, accounted: 0, problems: [], extra: [] },
    found: { problems: 0, extra: 0 },
  }

  /** An object that was looked at. */
  looked({ problem, bytes, byEtagOnly }: Checked): void {
    const { told } = this
    told.objects++
    told.accounted++
    told.bytes += bytes
    if (byEtagOnly) told.byEtagOnly++
    if (problem !== null) this.add(problem)
  }

  /** An object that should have been there to be looked at. */
  missed(problem: ObjectProblem): void {
    this.told.accounted++
    this.add(problem)
  }

  add(finding: ObjectProblem | Extra): void {
    const { found, extra, problems } = this.told
    if (finding.problem === 'extra') {
      if (++found.extra <= namedOfEach) extra.push(finding)
    } else if (++found.problems <= namedOfEach) problems.push(finding)
  }

  /** With what somebody else found. */
  merge({ problems, extra, found, ...sums }: BatchFound): void {
    const { told } = this
    for (const name of ['objects', 'bytes', 'byEtagOnly', 'accounted'] as const) told[name] += sums[name]
    for (const finding of [...problems, ...extra]) this.add(finding)
    told.found.problems += found.problems - problems.length
    told.found.extra += found.extra - extra.length
  }
}
