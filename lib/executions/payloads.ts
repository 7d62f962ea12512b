import * as z from 'zod'

/** It may be anything: a guard may have refused it. */
const Sent = z
  .object({
    operation: z.string().catch('unknown'),
    strategy: z.string().nullable().catch(null),
    requestedBy: z.string().nullable().catch(null),
    dryRun: z.boolean().catch(false),
  })
  .catch({ operation: 'unknown', strategy: null, requestedBy: null, dryRun: false })

/** What an execution was started with, as far as it can be read. */
export function requestIn(input: string | undefined): z.output<typeof Sent> {
  return Sent.parse(JSON.parse(input ?? '{}'))
}

const Repeated = z.object({ next: z.literal('repeated'), repeats: z.string() })

/** The run that an execution only repeated; undefined: it was one of its own, or has not ended. */
export function repeatedIn(output: string | undefined): string | undefined {
  return output === undefined ? undefined : Repeated.safeParse(JSON.parse(output)).data?.repeats
}
