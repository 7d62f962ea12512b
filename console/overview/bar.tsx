import type { Share } from '../stores/store.ts'

/** How much of a store goes with a reset and how much stays, beside the largest. The numbers stand next to it. */
export function Bar({ share: { goes, stays }, most }: { share: Share; most: number }) {
  const percent = (part: number) => ({ inlineSize: `${(100 * part) / most}%` })
  return (
    <span class="bar" aria-hidden="true">
      <i class="goes" style={percent(goes)} />
      <i class="stays" style={percent(stays)} />
    </span>
  )
}
