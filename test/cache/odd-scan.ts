import type { RestFault } from './rest-front.ts'

const offset = 2n ** 63n
const encode = (text: string) => Buffer.from(text).toString('base64')

/**
 * Answers SCAN as Redis may: pages of a few keys, each page twice over, an empty one before each, and cursors that no
 * JavaScript number can hold.
 */
export function oddScan(count = 7): RestFault {
  const visited = new Set<string>()
  return async (commands, forward) => {
    const scan = commands.findLast(([name]) => name === 'SCAN')
    if (scan === undefined) return undefined
    const cursor = BigInt(scan[1] ?? '0')
    const isFirst = cursor === 0n
    if (!isFirst && !visited.has(String(cursor)) && commands.length === 1) {
      visited.add(String(cursor))
      return { status: 200, body: JSON.stringify([{ result: [encode(String(cursor)), []] }]) }
    }
    const asked = [...scan]
    asked[1] = String(isFirst ? 0n : cursor - offset)
    asked[asked.indexOf('COUNT') + 1] = String(count)
    scan.splice(0, scan.length, ...asked)
    const answer = await forward()
    const body = JSON.parse(answer.body)
    const [next, keys] = body.at(-1).result
    const real = BigInt(Buffer.from(next, 'base64').toString())
    body.at(-1).result = [encode(String(real === 0n ? 0n : real + offset)), [...keys, ...keys]]
    return { status: 200, body: JSON.stringify(body) }
  }
}
