import { fileURLToPath } from 'node:url'
import { timed } from '../peers/command.ts'
import type { Subject } from './subject.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

export const start: Subject = {
  name: 'start',
  rows: {
    'npm start': 'npm start: a stack, a sample, a reset to zero, one to the baseline, and the proof of both',
  },
  measure: async () => ({ 'npm start': await timed('cd "$ROOT"; npm start --silent', { ROOT: root }) }),
  peers: [],
}
