import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes a worker longest on its own: begun last, it would be waited for while the other workers have nothing to do. */
const longest = [
  'e2e/stragglers-copy.trust', // in their full form, most of all by far
  'e2e/stragglers.trust',
  'database/nights.trust',
  'restore/restorability.trust',
  'database/take-over-faults.trust',
  'e2e/faults.trust',
  'cli/runs-side-by-side.trust',
  'restore/restore.trust',
  'backup/hostile-bucket.trust',
  'e2e/cancel.trust',
  'deployment/deployment.trust',
  'console/page.trust',
  'files/restore.trust',
  'database/wipe.trust',
  'cli/on-backup.trust',
  'e2e/guards.trust',
  'database/preservation.trust',
  'e2e/concurrency.trust',
  'restore/fidelity.trust',
  'restore/faults.trust',
  'restore/memory.trust',
  'e2e/payloads.trust',
  'database/memory.trust',
]

/** What needs no server comes last: a worker has modules of one project alone, and begins anew when another's file is next. */
const last = longest.length + 1

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId, project }: TestSpecification) => {
      if (project.name === 'pure') return last
      const at = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
      return at < 0 ? longest.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b))
  }
}
