import { bytes } from '../../../lib/amounts.ts'
import type { Status } from '../../../lib/run/status/status.ts'

const [width, height] = [150, 32]

/** Bytes of the backups that are kept, by the day on which they were taken: a bar for each of thirty days. */
export function Storage({ storage }: { storage: Status['storage'] }) {
  const most = Math.max(...storage.map(({ bytes: size }) => size ?? 0))
  if (!(most > 0)) return null
  const step = width / storage.length
  const says = `Backups that are kept, by the day on which they were taken: up to ${bytes(most)} a day`
  return (
    <svg class="storage" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={says}>
      <title>{says}</title>
      {storage.map(({ day, bytes: size }, at) => {
        const bar = !size ? 0.5 : Math.max(2, (height * size) / most)
        return <rect key={day} x={at * step} y={height - bar} width={step - 1} height={bar} />
      })}
    </svg>
  )
}
