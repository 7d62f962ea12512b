import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { isBackupId } from '../../../backup/backup-id.ts'
import { timeToLook } from '../../../backup/documents/in-time.ts'
import { pageOfBackups } from '../../../backup/list.ts'
import { StoreUnavailable } from '../../../errors.ts'
import { BackupAnswer } from '../../answers/backup.ts'
import { limitUpTo, linkToNext } from '../../answers/pages.ts'
import { abridged, answerBytes } from '../../answers/size.ts'
import type { Api } from '../../api.ts'
import { scoped } from '../../auth.ts'
import * as examples from '../../document/examples.ts'
import { refusals } from '../../document/refusals.ts'
import { answer, ifNoneMatch, unchanged } from '../../document/route.ts'
import { beginning } from '../../errors.ts'
import { namesFor, reasonsFor } from '../../request/backup-name.ts'
import { revalidated } from '../../request/etag.ts'

const Query = z.strictObject({
  limit: limitUpTo(1000, 200),
  before: z
    .string()
    .refine(isBackupId, 'is not the id of a backup')
    .optional()
    .meta({ description: '`next` of the page before; those with a smaller id follow' }),
  label: z.string().min(1).max(39).optional().meta({ description: 'The one that has the label' }),
  strategy: z.string().min(1).max(40).optional().meta({ description: 'Those of the strategy' }),
  pinned: z
    .stringbool()
    .optional()
    .meta({ type: 'boolean', description: 'Those that are pinned, or those that are not' }),
  q: z.string().min(1).max(100).optional().meta({
    description:
      'Those with the text in their id, labels, note, strategy, environment, or in what took them: its operation, or who asked for it',
  }),
  kept: z.stringbool().default(false).meta({
    type: 'boolean',
    description:
      'Tell of each why the retention keeps it, for which all manifests are read; of more than a thousand folders, or where eight seconds are not enough, it is not told',
  }),
})

const list = createRoute({
  operationId: 'listBackups',
  method: 'get',
  path: '/v1/backups',
  tags: ['Backups'],
  summary: 'List the sealed backups, newest first',
  description:
    'Needs the scope read. What it is asked to leave out counts for `limit` all the same, and a page ends where reading takes too long: it may be short, or empty, and lead on.',
  middleware: [scoped('read'), revalidated],
  request: { headers: ifNoneMatch, query: Query },
  responses: {
    200: answer(
      'The backups, and those whose manifest cannot be understood',
      z.strictObject({
        backups: z.array(BackupAnswer),
        unreadable: z.array(z.strictObject({ backupId: z.string(), reason: z.string() })),
        next: z
          .string()
          .nullable()
          .meta({ description: '`before` of the next page; null: this is the last' }),
      }),
      { has: ['ETag', 'Link'], example: { backups: [examples.backup], unreadable: [], next: null } },
    ),
    304: unchanged,
    ...refusals(400),
  },
})

/** Bytes of one backup in a list: of a thousand, what an answer takes. */
const entryBytes = answerBytes / 1000

export const backupList = new OpenAPIHono<Api>().openapi(list, async ({ var: { clients }, req, json }) => {
  const query = req.valid('query')
  const { backups: bucket, config } = clients
  const page = await pageOfBackups(bucket, config.BACKUP_PREFIX, query, timeToLook(clients))
  const { next } = page
  const [names, keeps] = await Promise.all([
    namesFor(
      clients,
      page.backups.map(({ backupId }) => backupId),
    ),
    query.kept ? reasonsFor(clients) : undefined,
  ])
  if (query.label !== undefined && page.backups.some(({ backupId }) => names(backupId).labels === null))
    throw new StoreUnavailable(
      'Labels cannot be read now, so that it is not known which backup has this one. Leave out `label` to list the backups, or try again in a moment',
    )
  const backups = page.backups
    .map((backup) => ({
      ...backup,
      ...names(backup.backupId),
      kept: keeps?.get(backup.backupId) ?? null,
    }))
    .filter((backup) => isWanted(backup, query))
    .map((backup) => abridged(backup, entryBytes))
  const unreadable = page.unreadable.map(({ backupId, reason }) => ({
    backupId,
    reason: beginning(reason, 500),
  }))
  return json({ backups, unreadable, next }, 200, linkToNext(req.url, { before: next }))
})

function isWanted(
  { backupId, environment, strategy, pinned, labels, note, run }: BackupAnswer,
  wanted: z.output<typeof Query>,
): boolean {
  if (wanted.strategy !== undefined && strategy !== wanted.strategy) return false
  if (wanted.pinned !== undefined && pinned !== wanted.pinned) return false
  if (wanted.label !== undefined && !labels?.includes(wanted.label)) return false
  if (wanted.q === undefined) return true
  const sought = wanted.q.toLowerCase()
  const told = [backupId, environment, strategy, ...(labels ?? []), note, run?.operation, run?.requestedBy]
  return told.some((text) => text?.toLowerCase().includes(sought))
}
