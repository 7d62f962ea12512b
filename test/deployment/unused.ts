/** Permissions that the end-to-end run does not use, with the reason to grant them all the same. */
export const unusedForAReason: { functions: string[] | 'all'; actions: string[]; reason: string }[] = [
  {
    functions: 'all',
    actions: [
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'xray:PutTraceSegments',
      'xray:PutTelemetryRecords',
    ],
    reason: "used by Lambda's own runtime",
  },
  {
    functions: ['export', 'copy', 'seal', 'wipe', 'restore', 'putback'],
    actions: ['s3:AbortMultipartUpload'],
    reason: 'only an upload that fails is given up',
  },
  {
    functions: ['copy', 'putback'],
    actions: [
      's3:GetObjectTagging',
      's3:PutObjectTagging',
      's3:GetObjectAnnotation',
      's3:PutObjectAnnotation',
    ],
    reason: 'S3 asks for them inside a copy when the object has tags or annotations',
  },
  {
    functions: ['ended', 'notify'],
    actions: ['sqs:SendMessage'],
    reason: 'used by Lambda, for an event that could not be dealt with',
  },
  {
    functions: ['notify'],
    actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
    reason: 'SNS asks for them when it encrypts what was published',
  },
]
