import type { Run } from '../../lib/http/answers/run.ts'
import { saidAs } from '../../lib/operations.ts'
import { wouldBackUp, wouldCall, wouldLeave, wouldLines } from '../../lib/run/words/would-words.ts'
import { stores } from '../stores/stores.ts'

type WouldDo = NonNullable<Run['wouldDo']>

/** What a dry run found that a run would do, table by table. */
export function Plan({ wouldDo, operation }: { wouldDo: WouldDo; operation: string }) {
  const left = wouldLeave(wouldDo).map((target) => stores[target].name)
  const calls = wouldCall(wouldDo, operation)
  return (
    <section aria-labelledby="plan">
      <h2 id="plan">
        What the {saidAs(operation)} would do{wouldDo.refusal && ', if it were not refused'}
      </h2>
      <div class="panel">
        <table class="outcome named">
          <caption class="unseen">What each table and store holds, and what would happen to it</caption>
          <tbody>
            {wouldLines(wouldDo, operation).map(({ what, holds, would }) => (
              <tr key={what}>
                <th scope="row">{what.replace(/^public\./, '')}</th>
                <td>{holds}</td>
                <td>{would}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <p class="muted">{wouldBackUp(wouldDo, operation)}</p>
        {calls !== null && <p class="muted">{calls}</p>}
        {left.length > 0 && <p class="muted">Left alone: {new Intl.ListFormat('en').format(left)}.</p>}
      </div>
    </section>
  )
}
