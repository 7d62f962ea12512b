// Run by killed.trust.test.ts as a process of its own: one invocation of a step, which can be frozen and killed as no
// function of this process can.
import { loadFunctions } from '../../local/functions.ts'

const [name = '', event = '', remaining = ''] = process.argv.slice(2)
const functions = Object.entries(await loadFunctions())
const [, handler] = functions.find(([key]) => key === name) ?? []
if (handler === undefined)
  throw new Error(`There is no function ${name}, only ${functions.map(([key]) => key)}`)
// Its time begins when it does, however long the machine took to load it.
const deadline = Date.now() + Number(remaining)
await handler(JSON.parse(event), {
  functionName: name,
  awsRequestId: 'killed',
  getRemainingTimeInMillis: () => deadline - Date.now(),
})
