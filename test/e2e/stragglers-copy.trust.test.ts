import { describe } from 'vitest'
import { handler as copy } from '../../functions/copy.ts'
import { restoreOf, scope, useStragglers } from './stragglers.ts'

const { testStops } = useStragglers()

describe('an invocation that wakes up after its step was repeated, its run ended and a restore was made', () => {
  testStops('Copy files of a reset', {
    state: 'Copy files batch',
    request: () => ({ operation: 'reset', ...scope }),
    handler: copy,
    changed: false,
  })

  testStops('Copy files of a restore, which are its safety backup', {
    state: 'Copy files batch',
    request: restoreOf,
    handler: copy,
    changed: true,
  })
})
