import type { Run } from '../../lib/http/run.ts'
import { type Target, targets } from '../../lib/run/strategy.ts'
import { bytes, counted } from '../numbers.ts'
import { targetNames } from './wording.ts'

type Counted = NonNullable<Run['plan']>

/** What a dry run found that a run would do. */
export function Plan({ plan, operation }: { plan: Counted; operation: string }) {
  const acted = targets.filter((target) => plan[target] !== null)
  return (
    <section aria-labelledby="plan">
      <h2 id="plan">What the {operation} would do</h2>
      <div class="panel">
        <table class="outcome">
          <caption class="unseen">What each target holds, and what would happen to it</caption>
          <tbody>
            {acted.map((target) => (
              <tr key={target}>
                <th scope="row">{targetNames[target]}</th>
                <td>{contentsOf(plan, target)}</td>
                <td>{fateOf(plan, target, operation)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {plan.backsUp.includes('database') && (
          <p class="muted">
            {plan.rehearse
              ? 'The backup would be loaded and compared row by row before it is sealed.'
              : 'The backup would be read back, but not loaded.'}
          </p>
        )}
      </div>
    </section>
  )
}

function contentsOf({ database, files, cache }: Counted, target: Target): string {
  if (target === 'database') {
    return database ? `${counted(database.rows, 'row')} in ${counted(database.tables, 'table')}` : ''
  }
  if (target === 'files') return files ? `${counted(files.objects, 'file')}, ${bytes(files.bytes)}` : ''
  return cache ? counted(cache.keys, 'key') : ''
}

function fateOf({ wipes, backsUp }: Counted, target: Target, operation: string): string {
  const first = backsUp.includes(target) ? 'Backed up' : 'Not backed up'
  if (operation === 'restore') return `${first}, then replaced by what is in the backup.`
  return wipes.includes(target) ? `${first}, then wiped but for what is preserved.` : `${first}.`
}
