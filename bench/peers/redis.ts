import { keyPattern } from '../data/keys.ts'
import type { Bench, Peer } from '../subjects/subject.ts'
import { timed } from './command.ts'

function run(command: string, { world }: Bench) {
  const { host, port, password } = world.redis
  const program = `redis-cli -h ${host} -p ${port}`
  return timed(command.replaceAll('redis-cli', program), { REDISCLI_AUTH: password })
}

/** Each value as Redis dumps it; the replies come, and nobody keeps them. */
export const dumpKeys = (of: string): Peer => ({
  name: 'redis-cli --scan, a DUMP each, pipelined',
  of,
  needs: ['redis-cli', 'sed'],
  measure: (bench) =>
    run(`redis-cli --scan --pattern '${keyPattern}' | sed 's/^/DUMP /' | redis-cli --pipe`, bench),
})

export const unlinkKeys = (of: string): Peer => ({
  name: 'redis-cli --scan | xargs redis-cli unlink',
  of,
  needs: ['redis-cli', 'xargs'],
  async measure(bench) {
    const figure = await run(
      `redis-cli --scan --pattern '${keyPattern}' | xargs -n 1000 redis-cli unlink`,
      bench,
    )
    await bench.world.refill()
    return figure
  },
})
