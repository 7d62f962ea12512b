import type { Standing } from './standing.ts'

/** The shape; the words stand beside it. */
export function Mark({ standing }: { standing: Standing }) {
  return (
    <svg class={`mark-of ${standing}`} viewBox="0 0 16 16" aria-hidden="true">
      {standing === 'good' && (
        <>
          <circle class="filled" cx="8" cy="8" r="7" />
          <path class="on" d="M4.6 8.3 7 10.7l4.4-5" />
        </>
      )}
      {standing === 'attention' && (
        <>
          <path class="filled" d="M8 1.2 15.4 14.6H.6z" />
          <path class="on" d="M8 6v4m0 1.7v1" />
        </>
      )}
      {standing === 'failed' && (
        <>
          <rect class="filled" x="1" y="1" width="14" height="14" rx="2.5" />
          <path class="on" d="m5 5 6 6m0-6-6 6" />
        </>
      )}
      {standing === 'active' && (
        <>
          <circle class="ring" cx="8" cy="8" r="6.5" />
          <circle class="filled" cx="8" cy="8" r="3" />
        </>
      )}
      {standing === 'plain' && (
        <>
          <circle class="ring" cx="8" cy="8" r="6.5" />
          <path class="ring" d="M5 8h6" />
        </>
      )}
    </svg>
  )
}
