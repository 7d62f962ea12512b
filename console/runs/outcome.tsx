import { operationOf } from '../../lib/operations.ts'
import type { Outcome as Ended } from '../../lib/run/outcome.ts'
import { stateWords } from '../../lib/run/words/outcome.ts'
import { targets } from '../../lib/store.ts'
import { number } from '../numbers.ts'
import { Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { backupAddress } from '../route.ts'
import { stores } from '../stores/stores.ts'
import { sentenceOf } from './wording.ts'

/** What really happened, per target and in plain words. */
export function Outcome({ outcome }: { outcome: Ended }) {
  const tables = Object.entries(outcome.targets.database.tables)
  return (
    <section aria-labelledby="outcome">
      <h2 id="outcome">Outcome</h2>
      <div class="panel">
        <table class="outcome">
          <caption class="unseen">What happened to each target</caption>
          <tbody>
            {targets.map((target) => (
              <tr key={target}>
                <th scope="row">{stores[target].title}</th>
                <td>
                  <span class="badge plain">{stateWords[outcome.targets[target].state]}</span>
                </td>
                <td>{sentenceOf(outcome, target)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {outcome.backupId && (
          <p>
            {operationOf(outcome.operation)?.changes === 'replaced' ? 'Safety backup' : 'Backup'}:{' '}
            <a href={backupAddress(outcome.backupId)}>{outcome.backupId}</a>
          </p>
        )}
        {tables.length > 0 && (
          <details>
            <summary>Rows by table</summary>
            <table>
              <caption class="unseen">Rows of each table</caption>
              <thead>
                <tr>
                  <th scope="col">Table</th>
                  <th scope="col" class="number">
                    Rows
                  </th>
                </tr>
              </thead>
              <tbody>
                {tables.map(([name, rows]) => (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td class="number">{number(rows)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </details>
        )}
      </div>
    </section>
  )
}

/** What needs a look, of runs of every kind. */
export function Warnings({ outcome: { warnings } }: { outcome: Ended }) {
  return (
    <>
      {warnings.map(({ code, message }) => (
        <Notice key={`${code} ${message}`} kind="attention">
          <strong>{code}</strong>
          <p>{sentence(message)}</p>
        </Notice>
      ))}
    </>
  )
}
