import { figureOf } from '../figures/figure.ts'
import { dumpToFile, dumpToFolder } from '../peers/dump.ts'
import { jsonToNowhere, naiveExport } from '../peers/server.ts'
import { stepsOf } from './steps.ts'
import type { Subject } from './subject.ts'

export const exported: Subject = {
  name: 'export',
  rows: { export: 'export of the database, each part read back' },
  async measure({ world }) {
    await world.forgetBackups()
    const run = await world.run({ operation: 'backup', strategy: 'database-only', rehearse: false })
    return { export: figureOf(stepsOf(run, 'export database')) }
  },
  peers: [dumpToFolder('export'), dumpToFile('export'), naiveExport('export'), jsonToNowhere('export')],
}
