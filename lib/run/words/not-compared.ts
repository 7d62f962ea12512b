import type { Warning } from '../../backup/manifest.ts'

/** Of the dry run of a restore: what it would change is not known row by row. The restore itself may succeed all the same. */
export function notCompared(reason: string): Warning {
  return { code: 'NotCompared', message: `What the restore would change is not told row by row: ${reason}` }
}
