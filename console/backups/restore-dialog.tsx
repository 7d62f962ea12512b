import { useState } from 'preact/hooks'
import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { heldBy, storesIn } from '../../lib/run/words/held.ts'
import { contentsOf, shareOf } from '../overview/shares.ts'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useLive } from '../page/live.ts'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { Compared } from './compared.tsx'
import { useComparison } from './comparison.ts'
import { consequencesOf, restoreLabel } from './consequences-of-restore.ts'
import { ChoicesOf, obstacleIn, type RestoreChoices } from './restore-choices.tsx'
import { thenAndNow } from './then-and-now.ts'

/** Puts a backup back, after a safety backup of what is there now. */
export function RestoreDialog({ backup, onClose }: { backup: BackupDetails; onClose: () => void }) {
  const { api, session } = useSession()
  const { environment } = session
  const start = useStart()
  const { data: options } = useLive('options to restore', api.options, () => 10_000)
  const [choices, setChoices] = useState<RestoreChoices>({
    chosen: storesIn(heldBy(backup)),
    ...{ exact: false, allowForeign: false, allowUnsigned: false },
  })
  const { chosen, exact, allowForeign, allowUnsigned } = choices
  const asked = { backup, environment, choices }
  const obstacle = obstacleIn(asked)

  const request = {
    ...{ operation: 'restore' as const, backupId: backup.backupId, targets: chosen, exact, allowForeign },
    ...(allowUnsigned && { allowUnsigned }),
  }
  const comparison = useComparison(request)
  const difference = comparison.run?.outcome?.difference ?? null
  const present = options && contentsOf(options)
  const preserves = options !== undefined && (shareOf(options, 'database')?.stays ?? 0) > 0

  return (
    <ConfirmDialog
      title={`Restore into ${environment}`}
      action={restoreLabel(backup, chosen)}
      destructive
      obstacle={obstacle ?? (comparison.isAtWork ? 'It is being compared; one run at a time.' : undefined)}
      onConfirm={() => start({ ...request, confirm: environment })}
      onClose={onClose}
    >
      <ChoicesOf {...asked} onChange={(changed) => setChoices((now) => ({ ...now, ...changed }))} />
      <Compared
        lines={thenAndNow(backup, options, { chosen, exact, difference })}
        comparison={comparison}
        mayCompare={obstacle === undefined}
      />
      <ol class="consequences">
        {consequencesOf(backup, { environment, chosen, exact, present, preserves }).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ol>
    </ConfirmDialog>
  )
}
