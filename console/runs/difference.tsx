import type { Outcome } from '../../lib/run/outcome.ts'
import { differenceHeadings, differenceLines } from '../../lib/run/words/difference.ts'
import type { WouldDo } from '../../lib/run/words/would-do.ts'

/** What is not as it was in a backup, or not the same in two, and what a restore would do about it. */
export function Difference({
  difference,
  restores,
  isBetween,
  isDryRun,
}: {
  difference: NonNullable<Outcome['difference']>
  restores: WouldDo['restores']
  isBetween: boolean
  isDryRun: boolean
}) {
  const lines = differenceLines(difference, restores)
  const headings = differenceHeadings(isBetween, isDryRun)
  return (
    <section aria-labelledby="difference">
      <h2 id="difference">Difference</h2>
      <div class="panel">
        {lines.length === 0 ? (
          <p>{headings.nothing}</p>
        ) : (
          <table>
            <caption class="unseen">{headings.caption}</caption>
            <thead>
              <tr>
                <th scope="col">What</th>
                <th scope="col">{headings.before}</th>
                <th scope="col">{headings.now}</th>
                <th scope="col">{headings.restore}</th>
              </tr>
            </thead>
            <tbody>
              {lines.map(({ what, before, now, restore }) => (
                <tr key={what}>
                  <th scope="row">{what}</th>
                  <td>{before}</td>
                  <td>{now}</td>
                  <td>{restore}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </section>
  )
}
