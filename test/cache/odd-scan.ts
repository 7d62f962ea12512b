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

/** The same inside a script that scans, but for the cursors, of which no script makes a number: each page has few keys, twice. */
export const oddScript: RestFault = (commands) => {
  for (const command of commands) {
    if (command[0] !== 'EVAL' || !command[1]?.includes("'SCAN'")) continue
    const scanned = "redis.call('SCAN', cursor, 'MATCH', ARGV[5], 'COUNT', count)"
    const odd = `(function()
      local page = redis.call('SCAN', cursor, 'MATCH', ARGV[5], 'COUNT', 7)
      for at = 1, #page[2] do table.insert(page[2], page[2][at]) end
      return page
    end)()`
    if (!command[1].includes(scanned)) throw new Error('The script scans otherwise than this test knows.')
    command[1] = command[1].replace(scanned, odd)
  }
  return undefined
}
