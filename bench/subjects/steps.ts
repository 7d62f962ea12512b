import type { Run, Step } from '../steps/machine.ts'
import type { World } from '../world.ts'

/** The invocations of a run whose name begins with one of these. */
export function stepsOf({ steps }: Run, ...names: string[]): Step[] {
  return steps.filter(({ name }) => names.some((one) => name.startsWith(one)))
}

/** The id of a backup of the database: of the last one, when it is still there. */
export async function backedUp(world: World): Promise<string> {
  const last = world.lastBackup()
  if (last !== undefined) return last
  const { outcome } = await world.run({ operation: 'backup', strategy: 'database-only', rehearse: false })
  if (outcome.backupId === null) throw new Error('The backup has no id.')
  return outcome.backupId
}
