import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes a worker longest on its own: begun last, it would be waited for while the other workers have nothing to do. */
const longest = [
  'restore/difference.trust', // in their full form, most of all by far
  'e2e/thirty-days.trust',
  'scale/whole.trust',
  'backup/hostile-bucket.trust',
  'restore/many-tables.trust',
  'e2e/writers-nights.trust',
  'e2e/killed.trust',
  'e2e/stragglers.trust',
  'database/preservation.trust',
  'backup/chains.trust',
  'e2e/archived.trust',
  'cache/memory.trust',
  'e2e/constraints.trust',
  'e2e/strange-schemas.trust',
  'files/slow-down.trust',
  'database/nights.trust',
  'e2e/secrecy.trust',
  'bench/bench.trust',
  'cli/on-backup.trust',
  'cli/upload.trust',
  'backup/hostile-ranges.trust',
  'database/take-over-faults.trust',
  'e2e/faults.trust',
  'cli/runs-side-by-side.trust',
  'restore/restore.trust',
  'restore/restorability.trust',
  'e2e/cancel.trust',
  'deployment/deployment.trust',
  'console/page.trust',
  'files/restore.trust',
  'database/wipe.trust',
  'e2e/guards.trust',
  'e2e/stragglers-copy.trust',
  'e2e/stragglers-seal.trust',
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
