import * as z from 'zod'

/** What Lambda reports of an error that a handler threw; of a timeout it gives no type. */
const Reported = z.object({ errorMessage: z.string(), errorType: z.string().optional() })

/** Characters of a cause that Step Functions keeps at most; what is longer is none of Lambda's. */
const maxLength = 32_768

/** The message in the cause of a failed state or execution: a text as it is, or what Lambda reports of an error, as JSON. */
export function messageOfCause(cause: string): string {
  if (cause.length > maxLength || !cause.startsWith('{')) return cause
  let told: unknown
  try {
    told = JSON.parse(cause)
  } catch {
    return cause // a text that begins like JSON, or a report that was cut
  }
  return Reported.safeParse(told).data?.errorMessage ?? cause
}

/** Why an execution is over, in a sentence. */
export function causeOfEnd({
  cause,
  status,
}: {
  cause?: string | undefined
  status?: string | undefined
}): string {
  return cause === undefined ? `The execution ended ${status} without a cause` : messageOfCause(cause)
}
