import { useState } from 'preact/hooks'
import type { Options } from '../../lib/http/answers/options.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { type Strategy, scopeOf } from '../../lib/run/strategy.ts'
import { Bars } from '../page/bars.tsx'
import { Failure } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { Switch } from '../page/switch.tsx'
import { keptBy, titleOf } from './consequences.ts'
import { type Baseline, baselinesFor } from './goal.ts'
import { Goals } from './goals.tsx'
import { obstaclesTo, reasonsOf } from './obstacles.ts'
import { pictureOf } from './picture.ts'

/** What is to be reset, and to what: the label of a backup, or null for zero. */
export type Wish = { strategy: Strategy; to: string | null }

type Props = {
  options: Options
  labelled: readonly Baseline[]
  active: Run | undefined
  onReset: (wish: Wish) => void
}

/** One picture for all strategies: what goes, what stays, what comes back, and the ways to begin. */
export function Strategies({ options, labelled, active, onReset }: Props) {
  const { session } = useSession()
  const start = useStart()
  const [strategy, setStrategy] = useState<Strategy>(options.strategies[0]?.name ?? 'full')
  const [wanted, setWanted] = useState<string | null>(null)
  const [error, setError] = useState<Error>()
  const baselines = baselinesFor(labelled, strategy)
  const baseline = baselines.find(({ label }) => label === wanted)
  const to = baseline?.label ?? null
  const obstacles = obstaclesTo(scopeOf(strategy).clears, { session, options, active })
  const stays = keptBy(options, strategy)
  const begin = (request: { operation: 'reset' | 'backup'; dryRun: boolean; to?: string }) => () => {
    setError(undefined)
    start({ ...request, strategy }).catch(setError)
  }

  return (
    <section aria-labelledby="strategies">
      <h2 id="strategies">Reset</h2>
      <div class="panel">
        <div class="switches">
          <Switch
            legend="What is reset"
            choices={options.strategies.map(({ name }) => ({ value: name, says: titleOf(name) }))}
            chosen={strategy}
            onChoose={setStrategy}
          />
          <Goals baselines={baselines} chosen={to} onChoose={setWanted} />
        </div>
        <Bars
          caption="What each store holds now, and what it holds after the reset"
          headings={{ what: 'Store', from: 'Now', to: 'After a reset', becomes: 'So' }}
          lines={pictureOf(options, strategy, baseline)}
        />
        {stays.length > 0 && <p class="muted told">What stays: {new Intl.ListFormat('en').format(stays)}.</p>}
        <div class="actions">
          <button
            type="button"
            class="danger"
            disabled={obstacles.reset !== null}
            onClick={() => onReset({ strategy, to })}
          >
            Reset …<span class="unseen"> {titleOf(strategy)}</span>
          </button>
          <button
            type="button"
            disabled={obstacles.dryRun !== null}
            onClick={begin({ operation: 'reset', dryRun: true, ...(to !== null && { to }) })}
          >
            Dry run<span class="unseen"> of {titleOf(strategy)}</span>
          </button>
          <button
            type="button"
            disabled={obstacles.backup !== null}
            onClick={begin({ operation: 'backup', dryRun: false })}
          >
            Back up<span class="unseen"> {titleOf(strategy)}</span>
          </button>
        </div>
        {reasonsOf(obstacles).map((reason) => (
          <p key={reason} class="reason muted">
            {reason}
          </p>
        ))}
        {error && <Failure error={error} />}
      </div>
    </section>
  )
}
