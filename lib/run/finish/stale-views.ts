import type { Warning } from '../../backup/manifest.ts'
import type { Refreshed } from '../../database/views.ts'

/**
 * The materialized views that still show what was wiped or replaced.
 * @param planned those that were to be refreshed
 * @param changed what the step that changed their tables left; null when it changed none
 */
export function warnOfStaleViews(
  planned: readonly string[],
  changed: { views: Refreshed | null } | null,
): Warning[] {
  if (changed === null) return []
  const stale =
    changed.views?.stale.map(({ name, reason }) => `${name} (${reason})`) ??
    planned.map((name) => `${name} (the step ended before)`)
  if (stale.length === 0) return []
  const more = stale.length > 20 ? ` and ${stale.length - 20} more` : ''
  return [
    {
      code: staleViews,
      message: `Materialized views that still show rows of before: ${stale.slice(0, 20).join(', ')}${more}. Refresh them (REFRESH MATERIALIZED VIEW)`,
    },
  ]
}

/** Also what a plan foretells; once the views were tried, that is what counts. */
export const staleViews = 'ViewsNotRefreshed'
