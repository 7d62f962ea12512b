// Run by tests as a process of its own, to be ended in every way there is. Writes one line of JSON when its stack is up.
import { startStack } from '../../local/stack.ts'

const stack = await startStack({
  environment: { PATH: process.env.PATH },
  definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
  loadFunctions: async () => ({}),
  onCrash: async (error) => {
    console.log(JSON.stringify({ crash: error.message }))
    await stack.stop()
  },
})
process.on('SIGINT', async () => {
  await stack.stop()
  process.exit(0)
})
console.log(JSON.stringify({ processes: stack.processes, services: stack.services }))
