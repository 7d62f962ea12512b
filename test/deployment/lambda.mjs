// Run by tests as a process of its own, in the place of Lambda's runtime: loads one bundle, and calls its handler with
// each event that it is sent. Plain JavaScript, as every function's process would load the compiler for TypeScript first.
const { handler } = await import(process.argv[2] ?? '')

process.on('message', async ({ id, event, context }) => {
  try {
    const getRemainingTimeInMillis = () => 60_000 // a function does not survive the way between two processes
    process.send?.({ id, result: await handler(event, { ...context, getRemainingTimeInMillis }) })
  } catch ({ name, message }) {
    process.send?.({ id, error: { name, message } })
  }
})
process.send?.({ id: 0 })
