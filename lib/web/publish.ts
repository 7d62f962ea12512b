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

/** Of a subject SNS takes fewer than 100 characters, and an e-mail those of ASCII. A line end in it would begin another header. */
export function subjectOf(title: string): string {
  return title.replaceAll(/[^ -~]/g, '?').slice(0, 99)
}

/** Publishes to a topic of SNS, once. */
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
    Subject: subjectOf(subject),
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
