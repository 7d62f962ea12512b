import { useEffect, useState } from 'preact/hooks'
import { strategies } from '../../lib/run/strategy.ts'
import type { Wanted } from '../api.ts'
import { titleOf } from '../overview/consequences.ts'

/** Milliseconds without a key after which what was typed is looked for. */
const pauseMs = 300

/** Which backups are shown. */
export function Filters({ wanted, onChange }: { wanted: Wanted; onChange: (wanted: Wanted) => void }) {
  const [typed, setTyped] = useState(wanted.q ?? '')
  useEffect(() => {
    const q = typed.trim()
    if (q === (wanted.q ?? '')) return
    const { q: _, ...others } = wanted
    const timer = setTimeout(() => onChange(q === '' ? others : { ...others, q }), pauseMs)
    return () => clearTimeout(timer)
  }, [typed, wanted, onChange])

  function choose(strategy: string): void {
    const { strategy: _, ...others } = wanted
    onChange(strategy === '' ? others : { ...others, strategy })
  }

  function pin(isWanted: boolean): void {
    const { pinned: _, ...others } = wanted
    onChange(isWanted ? { ...others, pinned: 'true' } : others)
  }

  return (
    <search class="filters">
      <label class="field">
        <span>Search</span>
        <input
          type="search"
          value={typed}
          maxLength={100}
          placeholder="Id, label, note, who asked"
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Strategy</span>
        <select value={wanted.strategy ?? ''} onChange={(event) => choose(event.currentTarget.value)}>
          <option value="">All</option>
          {strategies.map((name) => (
            <option key={name} value={name}>
              {titleOf(name)}
            </option>
          ))}
        </select>
      </label>
      <label class="choice">
        <input
          type="checkbox"
          checked={wanted.pinned !== undefined}
          onChange={(event) => pin(event.currentTarget.checked)}
        />
        Pinned only
      </label>
    </search>
  )
}
