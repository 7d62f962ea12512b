/** " Did you mean …?" for a word that is nearly one of the names, else nothing. */
export function didYouMean(said: string, names: readonly string[]): string {
  const near = names
    .map((name) => ({ name, distance: distanceOf(said, name) }))
    .filter(({ name, distance }) => distance <= Math.min(2, name.length - 2))
    .sort((one, other) => one.distance - other.distance)
  return near[0] === undefined ? '' : ` Did you mean ${near[0].name}?`
}

/** How many letters were left out, added, taken for another or swapped with the next. */
function distanceOf(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2) return Number.POSITIVE_INFINITY
  const rows = [...Array(one.length + 1)].map((_, at) => [at, ...Array(other.length).fill(0)])
  const at = (row: number, column: number): number => rows[row]?.[column] ?? 0
  for (let column = 0; column <= other.length; column++) (rows[0] as number[])[column] = column
  for (let row = 1; row <= one.length; row++) {
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1]
      const isSwapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      const ways = [
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        at(row - 1, column - 1) + Number(!isSame),
      ]
      if (row > 1 && column > 1 && isSwapped) ways.push(at(row - 2, column - 2) + 1)
      ;(rows[row] as number[])[column] = Math.min(...ways)
    }
  }
  return at(one.length, other.length)
}
