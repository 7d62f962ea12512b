import { useState } from 'preact/hooks'
import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { nextStepsOf } from '../../lib/run/words/next-steps.ts'
import { RestoreDialog } from '../backups/restore-dialog.tsx'
import { attempt } from '../page/attempt.ts'
import { Failure } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useRuns } from './active-run.tsx'
import { commandToRestore, obstacleToPuttingBack } from './putting-back.ts'

/** What can be done after a run: above all, how to put back what it wiped or replaced. */
export function NextSteps({ outcome }: { outcome: Outcome }) {
  const steps = nextStepsOf(outcome)
  if (steps.length === 0) return null
  return (
    <section aria-labelledby="next">
      <h2 id="next">What next</h2>
      <div class="panel">
        {steps.map(({ says, restore }) => (
          <div key={says}>
            <p>{says}</p>
            {restore !== null && <PutBack backupId={restore} />}
          </div>
        ))}
      </div>
    </section>
  )
}

/** Opens the dialog that says what goes and wants the name typed; nothing begins by this button. */
function PutBack({ backupId }: { backupId: string }) {
  const { api, session } = useSession()
  const { active } = useRuns()
  const [backup, setBackup] = useState<BackupDetails>()
  const [error, setError] = useState<Error>()
  const obstacle = obstacleToPuttingBack({ session, active })

  const open = () => attempt(setError, async () => setBackup(await api.backup(backupId)))

  return (
    <>
      <div class="actions">
        <button type="button" class="danger" disabled={obstacle !== null} onClick={() => void open()}>
          Put it back …
        </button>
        {obstacle && <p class="muted">{obstacle}</p>}
      </div>
      <p class="muted">
        Or with the command line:{' '}
        <code class="command">{commandToRestore(backupId, session.environment)}</code>
      </p>
      {error && <Failure error={error} />}
      {backup && <RestoreDialog backup={backup} onClose={() => setBackup(undefined)} />}
    </>
  )
}
