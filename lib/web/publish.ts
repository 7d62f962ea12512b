import { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import type { Called } from './call.ts'
import { codeOf } from './host.ts'

type Publication = {
  topicArn: string
  subject: string
  message: string
  timeoutMs: number
  signal?: AbortSignal
}

/** Publishes to a topic of SNS, once. Of the subject an e-mail takes 100 characters of ASCII. */
export async function publish({
  topicArn,
  subject,
  message,
  timeoutMs,
  signal,
}: Publication): Promise<Called> {
  const [, , , region = '', , title = ''] = topicArn.split(':')
  const late = AbortSignal.timeout(timeoutMs)
  const sns = new SNSClient({ region, maxAttempts: 1 })
  const command = new PublishCommand({
    TopicArn: topicArn,
    Subject: subject.replaceAll(/[^ -~]/g, '?').slice(0, 100),
    Message: message,
  })
  try {
    await sns.send(command, {
      abortSignal: AbortSignal.any(signal === undefined ? [late] : [late, signal]),
    })
    return { status: 200 }
  } catch (error) {
    if (late.aborted) return { failed: `the topic ${title} did not answer within ${timeoutMs / 1000} s` }
    return { failed: `the topic ${title} could not be published to (${codeOf(error)})` }
  } finally {
    sns.destroy()
  }
}
