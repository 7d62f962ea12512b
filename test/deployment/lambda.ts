// Run by tests as a process of its own, in the place of Lambda's runtime: loads one bundle, and calls its handler with
// each event that it is sent.
const { handler } = await import(process.argv[2] ?? '')

process.on('message', async ({ id, event, context }: { id: number; event: unknown; context: object }) => {
  try {
    process.send?.({ id, result: await handler(event, context) })
  } catch (error) {
    const { name, message } = error as Error
    process.send?.({ id, error: { name, message } })
  }
})
process.send?.({ id: 0 })
