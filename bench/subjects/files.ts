import { figureOf } from '../figures/figure.ts'
import { rcloneCopy } from '../peers/rclone.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const files: Subject = {
  name: 'files',
  rows: { 'copy files': 'copy of the files into a backup' },
  async measure({ world }) {
    await world.forgetBackups()
    const run = await world.run({ operation: 'backup', strategy: 'files-only' })
    return { 'copy files': figureOf(stepsOf(run, 'copy')) }
  },
  peers: [rcloneCopy('copy files')],
}
