import { lasting } from '../figures/figure.ts'
import { fingerprintPass, truncate } from '../peers/server.ts'
import { watchLocks } from '../stores/locks.ts'
import type { Subject } from './subject.ts'

export const wipe: Subject = {
  name: 'wipe',
  rows: { 'wipe lock': "under the wipe's lock: every row compared with the backup, then truncated" },
  async measure({ world }) {
    await world.forgetBackups()
    const stop = await watchLocks(world.adminUrl)
    await world.run({ operation: 'reset', strategy: 'database-only', rehearse: false })
    const locked = await stop()
    await world.renew()
    return { 'wipe lock': lasting(locked) }
  },
  peers: [fingerprintPass('wipe lock'), truncate('wipe lock')],
}
