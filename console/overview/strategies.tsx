import { useState } from 'preact/hooks'
import type { Options } from '../../lib/http/answers/options.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import { howMany } from '../../lib/store.ts'
import { Failure } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { goesWith, staysWith, titleOf } from './consequences.ts'
import { obstaclesTo, reasonsOf } from './obstacles.ts'

type Props = { options: Options; active: Run | undefined; onReset: (strategy: Strategy) => void }

/** One card per strategy: what goes, what stays, and the ways to begin. */
export function Strategies({ options, active, onReset }: Props) {
  const { session } = useSession()
  // What stands in the way of all of them is said once.
  const general = reasonsOf(obstaclesTo([], { session, options, active }))
  return (
    <section aria-labelledby="strategies">
      <h2 id="strategies">Reset</h2>
      {general.map((reason) => (
        <p key={reason} class="muted">
          {reason}
        </p>
      ))}
      <ul class="cards">
        {options.strategies.map(({ name }) => (
          <li key={name} class="panel">
            <Card strategy={name} {...{ options, active, onReset, general }} />
          </li>
        ))}
      </ul>
    </section>
  )
}

type CardProps = Props & { strategy: Strategy; general: string[] }

function Card({ strategy, options, active, onReset, general }: CardProps) {
  const { session } = useSession()
  const start = useStart()
  const [error, setError] = useState<Error>()
  const stays = staysWith(options, strategy)
  const obstacles = obstaclesTo(scopeOf(strategy).clears, { session, options, active })
  const reasons = reasonsOf(obstacles).filter((reason) => !general.includes(reason))
  const begin = (operation: 'reset' | 'backup', dryRun: boolean) => () =>
    start({ operation, strategy, dryRun }).catch(setError)

  return (
    <>
      <h3>{titleOf(strategy)}</h3>
      <dl>
        <dt>Goes</dt>
        <dd>{goesWith(options, strategy)}</dd>
        <dt>Stays</dt>
        <dd>
          {stays.length === 0 ? `nothing of the ${howMany} stores` : new Intl.ListFormat('en').format(stays)}
        </dd>
      </dl>
      <div class="actions">
        <button
          type="button"
          class="danger"
          disabled={obstacles.reset !== null}
          onClick={() => onReset(strategy)}
        >
          Reset …<span class="unseen"> {titleOf(strategy)}</span>
        </button>
        <button type="button" disabled={obstacles.dryRun !== null} onClick={begin('reset', true)}>
          Dry run<span class="unseen"> of {titleOf(strategy)}</span>
        </button>
        <button type="button" disabled={obstacles.backup !== null} onClick={begin('backup', false)}>
          Back up<span class="unseen"> {titleOf(strategy)}</span>
        </button>
      </div>
      {reasons.map((reason) => (
        <p key={reason} class="reason muted">
          {reason}
        </p>
      ))}
      {error && <Failure error={error} />}
    </>
  )
}
