import { Switch } from '../page/switch.tsx'
import type { Baseline } from './goal.ts'

type Props = {
  baselines: readonly Baseline[]
  /** The label; null: zero. */
  chosen: string | null
  onChoose: (label: string | null) => void
}

/** To zero, or back to a backup with a label; nothing where there is none. */
export function Goals({ baselines, chosen, onChoose }: Props) {
  if (baselines.length === 0) return null
  const zero = { value: '', says: 'To zero' }
  // No label begins with a capital letter, so none is taken for the other.
  const labels = baselines.map(({ label }) => ({ value: label, says: `To ${label}` }))
  return (
    <Switch
      legend="What it goes back to"
      choices={[zero, ...labels]}
      chosen={chosen ?? ''}
      onChoose={(value) => onChoose(value === '' ? null : value)}
    />
  )
}
