/** How much there is at one of two moments. `goes` and `stays` are drawn; null: that is not known. */
export type Side = { says: string; goes: number | null; stays?: number }
export type BarsLine = { what: string; label?: string | null; from: Side; to: Side; becomes: string }

type Props = {
  /** Read aloud before the table. */
  caption: string
  headings: { what: string; from: string; to: string; becomes: string }
  lines: readonly BarsLine[]
}

/** What there is at two moments, each as a number and as a bar; the two bars of a line have one scale. */
export function Bars({ caption, headings, lines }: Props) {
  return (
    <table class="bars">
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">{headings.what}</th>
          <th scope="col">{headings.from}</th>
          <th scope="col">{headings.to}</th>
          <th scope="col">{headings.becomes}</th>
        </tr>
      </thead>
      <tbody>
        {lines.map(({ what, label, from, to, becomes }) => {
          const most = Math.max(1, lengthOf(from), lengthOf(to))
          return (
            <tr key={what}>
              <th scope="row">
                {what} {label && <span class="muted">{label}</span>}
              </th>
              <td>
                <Sided side={from} most={most} />
              </td>
              <td>
                <Sided side={to} most={most} isAfter />
              </td>
              <td class="becomes">{becomes}</td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function lengthOf({ goes, stays = 0 }: Side): number {
  return (goes ?? 0) + stays
}

function Sided({ side, most, isAfter = false }: { side: Side; most: number; isAfter?: boolean }) {
  const { says, goes, stays = 0 } = side
  const percent = (part: number) => ({ inlineSize: `${(100 * part) / most}%` })
  return (
    <>
      {says}
      <span class="bar" aria-hidden="true">
        <i class={isAfter ? 'comes' : 'goes'} style={percent(goes ?? 0)} />
        <i class="stays" style={percent(stays)} />
      </span>
    </>
  )
}
