import type { ComponentChildren } from 'preact'
import type { Options } from '../../lib/http/answers/options.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { number } from '../numbers.ts'
import { Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { stores } from '../stores/stores.ts'
import { Bar } from './bar.tsx'
import { foundIn, shareOf } from './shares.ts'
import { Tables } from './tables.tsx'

/** Every table, and each other store, with counts as bars. */
export function Contents({ options }: { options: Options }) {
  const { database } = options
  return (
    <section aria-labelledby="contents">
      <h2 id="contents">What is there</h2>
      <p class="legend muted">
        <i class="key goes" aria-hidden="true" /> goes with a reset <i class="key stays" aria-hidden="true" />{' '}
        stays
      </p>
      <Panel target="database" options={options}>
        {database.available && <Tables {...database} />}
      </Panel>
      <div class="pair">
        {targets
          .filter((target) => words[target].parts === undefined)
          .map((target) => (
            <Panel key={target} target={target} options={options}>
              <OneLine target={target} options={options} />
            </Panel>
          ))}
      </div>
    </section>
  )
}

type Props<T extends Target> = { target: T; options: Options }

function Panel({ target, options, children }: Props<Target> & { children: ComponentChildren }) {
  const found = options[target]
  return (
    <div class="panel">
      <h3>{stores[target].title}</h3>
      {children}
      {!found.available && (
        <Notice kind="attention">
          <strong>Cannot be read now.</strong> <p>{sentence(found.reason.message)}</p>
        </Notice>
      )}
    </div>
  )
}

/** A store as one figure with a bar. */
function OneLine<T extends Target>({ target, options }: Props<T>) {
  const found = foundIn(options, target)
  const share = shareOf(options, target)
  if (found === null || share === null) return null
  const { place, size } = stores[target]
  const where = place?.(found) ?? { says: '' }
  const all = share.goes + share.stays
  const one = words[target].unit
  return (
    <>
      <p class="figure">
        {number(all, share.estimated)} <span class="muted">{all === 1 ? one : `${one}s`}</span>
      </p>
      <Bar share={share} most={Math.max(1, all)} />
      <p class="muted">
        {size && `${size(found)} · `}
        {'address' in where ? <span class="address">{where.address}</span> : where.says}
        {share.stays > 0 &&
          ` · ${number(share.stays, share.estimated)} ${share.stays === 1 ? 'stays' : 'stay'}`}
      </p>
    </>
  )
}
