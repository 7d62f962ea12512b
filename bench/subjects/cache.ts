import { figureOf } from '../figures/figure.ts'
import { dumpKeys, unlinkKeys } from '../peers/redis.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const cache: Subject = {
  name: 'cache',
  rows: {
    'export keys': 'export of the cache, read back',
    'clear keys': 'clear of the cache by prefix, each key compared with the backup',
  },
  async measure({ world }) {
    await world.forgetBackups()
    const run = await world.run({ operation: 'reset', strategy: 'cache-only' })
    await world.renew()
    return {
      'export keys': figureOf(stepsOf(run, 'export cache')),
      'clear keys': figureOf(stepsOf(run, 'wipe cache')),
    }
  },
  peers: [dumpKeys('export keys'), unlinkKeys('clear keys')],
}
