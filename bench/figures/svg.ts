/**
 * A drawing of its own size, which looks the same on a light and on a dark page.
 * @see docs/decisions.md#the-pictures-of-the-benchmarks-are-written-by-hand
 */
export function svg(title: string, [width, height]: [number, number], parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`
}

export const colors = {
  text: '#24292f',
  faint: '#d0d7de',
  good: '#1a7f37',
  bad: '#bc4c00',
  ours: '#0969da',
  theirs: '#8c959f',
}

type Place = { x: number; y: number }

export function label(
  text: string,
  { x, y }: Place,
  anchor: 'start' | 'middle' | 'end' = 'start',
  fill = colors.text,
): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}" text-anchor="${anchor}" fill="${fill}">${escaped(text)}</text>`
}

export function bar({ x, y }: Place, width: number, height: number, fill: string): string {
  return `<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(Math.max(0, width))}" height="${height}" fill="${fill}"/>`
}

export function line(places: readonly Place[], stroke: string, width = 1): string {
  const points = places.map(({ x, y }) => `${rounded(x)},${rounded(y)}`).join(' ')
  return `<polyline points="${points}" fill="none" stroke="${stroke}" stroke-width="${width}"/>`
}

const rounded = (value: number) => Math.round(value * 10) / 10

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (found) => entities[found] ?? '')
}
