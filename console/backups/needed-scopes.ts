import type { BackupAnswer } from '../../lib/http/answers/backup.ts'

/** The scopes that a token lacks for what can be done with a backup: loading it needs what taking one needs. */
export function missingOf(
  { pinned, rows }: Pick<BackupAnswer, 'pinned' | 'rows'>,
  scopes: readonly string[],
): string[] {
  const needed = ['restore', ...(!pinned || rows !== null ? ['backup'] : []), 'delete']
  return needed.filter((scope) => !scopes.includes(scope))
}
