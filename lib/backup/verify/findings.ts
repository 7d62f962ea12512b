/** What is wrong with one object of a backup. `truncated`: it holds the beginning, or less, of what it should. */
export type ObjectProblem = { key: string; problem: 'missing' | 'changed' | 'truncated'; detail: string }

/** An object in a backup's folder that no reader of the backup reads. */
export type Extra = { key: string; problem: 'extra'; detail: string }

/** So many of each kind are named; all are counted. */
const namedOfEach = 1000

/** Collects findings in bounded memory: of a backup that lost a million files, the first thousand say enough. */
export class Findings {
  readonly problems: ObjectProblem[] = []
  readonly extra: Extra[] = []
  readonly found = { problems: 0, extra: 0 }

  add(finding: ObjectProblem | Extra): void {
    if (finding.problem === 'extra') {
      if (++this.found.extra <= namedOfEach) this.extra.push(finding)
    } else if (++this.found.problems <= namedOfEach) this.problems.push(finding)
  }
}
