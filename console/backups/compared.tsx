import { wouldBeRefused } from '../../lib/run/words/would-words.ts'
import { Bars } from '../page/bars.tsx'
import { Failure, Notice } from '../page/notice.tsx'
import type { Comparison } from './comparison.ts'
import type { Lines } from './then-and-now.ts'

type Props = { lines: Lines; comparison: Comparison; mayCompare: boolean }

/** What the backup holds beside what is there now, by counts, and compared row by row when that was asked for. */
export function Compared({ lines: { lines, rest, isCompared }, comparison, mayCompare }: Props) {
  if (lines.length === 0) return null
  const refused = comparison.run?.wouldDo ? wouldBeRefused(comparison.run.wouldDo) : null
  return (
    <>
      <Bars
        caption="What the backup holds, and what is there now"
        headings={{
          what: 'What',
          from: 'In the backup',
          to: 'Now',
          becomes: isCompared ? 'A restore' : 'Difference',
        }}
        lines={lines}
      />
      {rest && <p class="muted">{rest}</p>}
      <div class="actions">
        <button type="button" disabled={comparison.isAtWork || !mayCompare} onClick={comparison.begin}>
          {comparison.isAtWork ? 'Comparing …' : 'Compare row by row'}
        </button>
        <p class="muted">
          {isCompared
            ? 'Compared by a dry run just now; nothing was changed.'
            : 'These are counts. A dry run compares each row, file and key.'}
        </p>
      </div>
      {comparison.error && <Failure error={comparison.error} />}
      {refused && (
        <Notice kind="attention" announced>
          <p>The restore {refused}</p>
        </Notice>
      )}
    </>
  )
}
