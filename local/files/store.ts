import { counted } from '../../lib/amounts.ts'
import type { FilesOption } from '../../lib/files/schema/option.ts'
import type { LocalStore, Started } from '../store.ts'
import { showFilesOption } from './option.ts'

export type FilesShape = {
  plan: { embedded: true } | { embedded: false; endpoint: string | undefined }
  started: Started
  filled: { objects: number; bytes: number }
  count: { objects: number; bytes: number }
  found: FilesOption
}

const CREDENTIALS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
]

/** The S3 of the files, which has the backups as well. */
export const files: LocalStore<FilesShape> = {
  addresses: ['AWS_ENDPOINT_URL_S3'],
  howToGive: 'AWS_ENDPOINT_URL_S3 (or AWS credentials, FILES_BUCKET and BACKUP_BUCKET)',
  plan,
  givenBy: (plan) => ('endpoint' in plan ? 'AWS_ENDPOINT_URL_S3' : 'FILES_BUCKET'),
  isComplete: (plan) => !plan.embedded,
  start: async (plan, starting) => (await import('./service.ts')).startFiles(plan, starting),
  fill: async (reached, scale) => (await import('./sample.ts')).fillFiles(reached, scale),
  filledWith: ({ objects }) => counted(objects, 'file'),
  showOption: showFilesOption,
  demonstration: async () => (await import('./demonstration.ts')).objects,
}

function plan(environment: NodeJS.ProcessEnv): FilesShape['plan'] {
  const endpoint = environment.AWS_ENDPOINT_URL_S3
  const onAws =
    CREDENTIALS.some((name) => environment[name]) && environment.FILES_BUCKET && environment.BACKUP_BUCKET
  return endpoint || onAws ? { embedded: false, endpoint: endpoint || undefined } : { embedded: true }
}
