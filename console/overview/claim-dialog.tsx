import { howMany } from '../../lib/store.ts'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { allStores } from '../stores/stores.ts'

/** Writes the environment's name into all stores; from then on they can be reset. */
export function ClaimDialog({ onClose }: { onClose: () => void }) {
  const { environment } = useSession().session
  const start = useStart()
  return (
    <ConfirmDialog
      title={`Claim ${environment}`}
      action={`Write "${environment}" into the ${howMany} stores`}
      destructive={false}
      onConfirm={() => start({ operation: 'claim', confirm: environment })}
      onClose={onClose}
    >
      <p>
        The name is written into {allStores} that this service is configured with. Nothing is wiped by that,
        but a reset is possible afterwards. Do it only when all {howMany} really belong to {environment}.
      </p>
    </ConfirmDialog>
  )
}
