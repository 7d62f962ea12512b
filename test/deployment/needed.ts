/** Types whose resources are made with what is needed for others: keys, which have no name; parts of a topic or of an API. */
export const comesWithOthers = [
  'AWS::KMS::Key',
  'AWS::SNS::TopicPolicy',
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  'AWS::ApiGatewayV2::Stage',
]

/** What CloudFormation has to be allowed for a resource of each type, by its address: to make it, to change it, to take it away. */
export function actionsByType(
  // biome-ignore lint/suspicious/noExplicitAny: properties of any type
  propertiesOf: (id: string) => any,
): Record<string, [arn: (id: string) => string, actions: string]> {
  const arn = (service: string, name: string) => `arn:aws:${service}:us-east-1:000000000000:${name}`
  const own = (id: string) => `taskmaster-reset-local-${id}-1A2B3C` // a name that CloudFormation gives
  return {
    'AWS::S3::Bucket': [
      (id) =>
        `arn:aws:s3:::${id.startsWith('Serverless') ? 'taskmaster-reset-local-serverlessdeploymentbucket-1a' : propertiesOf(id).BucketName}`,
      's3:CreateBucket s3:DeleteBucket s3:PutBucketVersioning s3:PutBucketPublicAccessBlock s3:PutBucketOwnershipControls s3:PutBucketObjectLockConfiguration s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration s3:PutBucketTagging s3:TagResource',
    ],
    'AWS::S3::BucketPolicy': [
      (id) =>
        `arn:aws:s3:::taskmaster-local-${id === 'BackupBucketPolicy' ? 'backups' : 'files'}-000000000000-us-east-1`,
      's3:PutBucketPolicy s3:GetBucketPolicy s3:DeleteBucketPolicy',
    ],
    'AWS::Logs::LogGroup': [
      (id) => arn('logs', `log-group:${propertiesOf(id).LogGroupName}`),
      'logs:CreateLogGroup logs:DeleteLogGroup logs:PutRetentionPolicy logs:TagResource logs:DescribeLogGroups',
    ],
    'AWS::Lambda::Function': [
      (id) => arn('lambda', `function:${propertiesOf(id).FunctionName}`),
      'lambda:CreateFunction lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration lambda:GetFunction lambda:DeleteFunction lambda:TagResource',
    ],
    'AWS::Lambda::Version': [
      () => arn('lambda', 'function:taskmaster-reset-local-wipe'),
      'lambda:PublishVersion',
    ],
    'AWS::Lambda::EventInvokeConfig': [
      () => arn('lambda', 'function:taskmaster-reset-local-ended'),
      'lambda:PutFunctionEventInvokeConfig lambda:DeleteFunctionEventInvokeConfig',
    ],
    'AWS::Lambda::Permission': [
      () => arn('lambda', 'function:taskmaster-reset-local-api'),
      'lambda:AddPermission lambda:RemovePermission',
    ],
    'AWS::Events::Rule': [
      (id) => arn('events', `rule/${propertiesOf(id).Name}`),
      'events:PutRule events:PutTargets events:RemoveTargets events:DeleteRule events:TagResource',
    ],
    'AWS::ApiGatewayV2::Api': [
      () => 'arn:aws:apigateway:us-east-1::/apis/x',
      'apigateway:POST apigateway:PATCH apigateway:DELETE apigateway:GET',
    ],
    'AWS::IAM::Role': [
      (id) => `arn:aws:iam::000000000000:role/${propertiesOf(id).RoleName ?? own(id)}`,
      'iam:CreateRole iam:DeleteRole iam:PutRolePolicy iam:DeleteRolePolicy iam:UpdateAssumeRolePolicy iam:TagRole',
    ],
    'AWS::IAM::ManagedPolicy': [
      (id) => `arn:aws:iam::000000000000:policy/${own(id)}`,
      'iam:CreatePolicy iam:CreatePolicyVersion iam:DeletePolicyVersion iam:DeletePolicy iam:TagPolicy',
    ],
    'AWS::StepFunctions::StateMachine': [
      () => propertiesOf('Schedule').Target.Arn,
      'states:CreateStateMachine states:UpdateStateMachine states:DeleteStateMachine states:TagResource',
    ],
    'AWS::Scheduler::Schedule': [
      (id) => arn('scheduler', `schedule/default/${own(id)}`),
      'scheduler:CreateSchedule scheduler:UpdateSchedule scheduler:DeleteSchedule',
    ],
    'AWS::SQS::Queue': [
      (id) => arn('sqs', own(id)),
      'sqs:CreateQueue sqs:SetQueueAttributes sqs:DeleteQueue sqs:TagQueue',
    ],
    'AWS::SNS::Topic': [
      (id) => arn('sns', own(id)),
      'sns:CreateTopic sns:SetTopicAttributes sns:DeleteTopic sns:TagResource sns:Subscribe',
    ],
    'AWS::CloudWatch::Alarm': [
      (id) => arn('cloudwatch', `alarm:${own(id)}`),
      'cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms cloudwatch:TagResource',
    ],
    'AWS::CloudWatch::Dashboard': [
      (id) => `arn:aws:cloudwatch::000000000000:dashboard/${propertiesOf(id).DashboardName}`,
      'cloudwatch:PutDashboard cloudwatch:DeleteDashboards',
    ],
    'AWS::Logs::MetricFilter': [
      (id) => arn('logs', `log-group:${propertiesOf(id).LogGroupName}`),
      'logs:PutMetricFilter logs:DeleteMetricFilter',
    ],
  }
}
