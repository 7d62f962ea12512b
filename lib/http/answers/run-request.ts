import '@hono/zod-openapi' // every schema has .openapi() from here on
import * as z from 'zod'
import { requests } from '../../run/request.ts'

const own = { idempotencyKey: true, requestedBy: true, scheduledTime: true } as const
const { backup, reset, restore, verify, claim } = requests

/** A request as every way in takes it, without what the API says itself. */
export const RunRequest = z
  .discriminatedUnion('operation', [
    backup.omit(own).openapi('BackupRequest'),
    reset.omit(own).openapi('ResetRequest'),
    restore.omit(own).openapi('RestoreRequest'),
    verify.omit(own).openapi('VerifyRequest'),
    requests.delete.omit(own).openapi('DeleteRequest'),
    claim.omit(own).openapi('ClaimRequest'),
  ])
  .openapi('RunRequest')
