import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import type { Called } from './call.ts'
import { codeOf } from './host.ts'

type Invocation = { functionArn: string; body: string; timeoutMs: number; signal?: AbortSignal }

/**
 * Invokes a Lambda function with a body as its event, once, and waits for its end. Who may do so is told by the account's
 * permissions, so that nothing is signed.
 */
export async function invoke({ functionArn, body, timeoutMs, signal }: Invocation): Promise<Called> {
  const [, , , region = '', , , title = ''] = functionArn.split(':')
  const late = AbortSignal.timeout(timeoutMs)
  const lambda = new LambdaClient({ region, maxAttempts: 1 })
  try {
    const answer = await lambda.send(new InvokeCommand({ FunctionName: functionArn, Payload: body }), {
      abortSignal: AbortSignal.any(signal === undefined ? [late] : [late, signal]),
    })
    // What it says itself may hold anything.
    if (answer.FunctionError !== undefined) return { failed: `the function ${title} ended with an error` }
    return { status: answer.StatusCode ?? 200 }
  } catch (error) {
    if (late.aborted) return { failed: `the function ${title} did not answer within ${timeoutMs / 1000} s` }
    return { failed: `the function ${title} could not be invoked (${codeOf(error)})` }
  } finally {
    lambda.destroy()
  }
}
