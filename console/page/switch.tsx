import { useId } from 'preact/hooks'

type Choice<Value extends string> = { value: Value; says: string; disabled?: boolean }
type Props<Value extends string> = {
  /** What is chosen, read aloud. */
  legend: string
  choices: readonly Choice<Value>[]
  chosen: Value
  onChoose: (value: Value) => void
}

/** One of a few, beside each other; the arrow keys go from one to the next. */
export function Switch<Value extends string>({ legend, choices, chosen, onChoose }: Props<Value>) {
  const name = useId()
  return (
    <fieldset class="switch">
      <legend class="unseen">{legend}</legend>
      {choices.map(({ value, says, disabled = false }) => (
        <label key={value}>
          <input
            type="radio"
            name={name}
            checked={value === chosen}
            disabled={disabled}
            onChange={() => onChoose(value)}
          />
          {says}
        </label>
      ))}
    </fieldset>
  )
}
