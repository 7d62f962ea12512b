import { type OperationName, operationOf } from '../../lib/operations.ts'
import { type Target, targets } from '../../lib/store.ts'

/** Steps that belong together; `together`: they run at the same time. */
export type Outline = { name: string; together?: boolean; destructive?: boolean; steps: string[] }

/** What the stages of a run are made of: the stages of its backup, and the stores. */
type Parts = { backup: Outline[]; acted: readonly Target[]; wipes: readonly Target[]; rehearse: boolean }

type OperationPage = {
  /** What a run of it is called. */
  title: string
  /** What is drawn between Count and Finish. */
  stages: (parts: Parts) => Outline[]
}

const loading = ['Load backup', 'Compare backup']

const wiping: OperationPage['stages'] = ({ backup, wipes }) => [
  ...backup,
  { name: 'Wipe', destructive: true, steps: wipes.map((target) => `Wipe ${target}`) },
]

const restoring: OperationPage['stages'] = ({ backup, acted }) => [
  ...backup,
  { name: 'Load', steps: acted.includes('database') ? loading : [] },
  { name: 'Restore', destructive: true, steps: acted.map((target) => `Restore ${target}`) },
]

const pages: Record<OperationName, OperationPage> = {
  backup: { title: 'Backup', stages: ({ backup }) => backup },
  reset: { title: 'Reset', stages: wiping },
  'reset-to': { title: 'Reset to a backup', stages: restoring },
  restore: { title: 'Restore', stages: restoring },
  verify: {
    title: 'Verification',
    stages: ({ rehearse }) => [
      { name: 'Check', steps: ['Verify', 'Judge'] },
      { name: 'Load', steps: rehearse ? loading : [] },
    ],
  },
  diff: {
    title: 'Difference',
    stages: () => [{ name: 'Compare', steps: targets.map((target) => `Diff ${target}`) }],
  },
  delete: { title: 'Deletion', stages: () => [{ name: 'Remove', destructive: true, steps: ['Delete'] }] },
  claim: { title: 'Claim', stages: () => [] },
}

/** How the page calls an operation and draws its runs. One of another version is called by its own name. */
export function pageOf(operation: string): OperationPage {
  if (operationOf(operation) === undefined) return { title: operation, stages: wiping }
  return pages[operation as OperationName]
}
