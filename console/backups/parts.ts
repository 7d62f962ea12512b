import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { counted } from '../numbers.ts'

type Part = BackupDetails['parts'][number]

const kinds: Record<Part['kind'], string> = {
  database: 'row',
  files: 'file',
  cache: 'key',
  manifest: 'object',
}

/** How many rows or keys a part holds, or files the index names; nothing for a document. */
export function holdsOf({ rows, kind }: Pick<Part, 'rows' | 'kind'>): string {
  return rows === null ? '' : counted(rows, kinds[kind])
}
