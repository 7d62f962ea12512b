import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { words } from '../../lib/stores/words.ts'
import { counted } from '../numbers.ts'

type Part = BackupDetails['parts'][number]

/** How many rows or keys a part holds, or files the index names; nothing for a document. */
export function holdsOf({ rows, kind }: Pick<Part, 'rows' | 'kind'>): string {
  return rows === null ? '' : counted(rows, kind === 'manifest' ? 'object' : words[kind].unit)
}
