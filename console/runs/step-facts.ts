import type { Run } from '../../lib/http/answers/run.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { counted, duration, number } from '../numbers.ts'
import type { DrawnStep } from './steps.ts'

type Told = Pick<Run, 'steps' | 'plan'>

/** How long a step took, or is at work, and of how much: `8.4 s · 539 rows`; null: nothing is known of it. */
export function factsOf({ steps, plan }: Told, { name, state }: DrawnStep, now: Date): string | null {
  if (state === 'waiting' || state === 'idle') return null
  const facts = [tookOf(steps?.[name], state, now), amountOf(name, plan)].filter((fact) => fact !== null)
  return facts.length === 0 ? null : facts.join(' · ')
}

function tookOf(
  noted: NonNullable<Run['steps']>[string] | undefined,
  state: DrawnStep['state'],
  now: Date,
): string | null {
  if (noted === undefined) return null
  // Of several batches one has ended, and others are at work.
  const to = state === 'running' ? now.toISOString() : noted.to
  return to === null ? null : duration(Date.parse(to) - Date.parse(noted.from))
}

/** What is backed up or wiped by it, as it was planned. */
function amountOf(step: string, plan: Run['plan']): string | null {
  const of = targets.find((target) => step === words[target].backedUpIn || step === `Wipe ${target}`)
  return of === undefined || plan === null ? null : plannedOf(of, plan)
}

function plannedOf<T extends Target>(target: T, plan: NonNullable<Run['plan']>): string | null {
  const planned = plan[target]
  return planned === null ? null : words[target].amount(planned as never)
}

/** `3 of 7 files`: what each step counts as it goes. */
export function tallyOf(step: string, { done, total }: { done: number; total: number }): string {
  return `${number(done)} of ${counted(total, unitOf(step))}`
}

function unitOf(step: string): string {
  if (step === 'Diff database') return 'table'
  const target = targets.find((one) => step.endsWith(` ${one}`))
  return target === undefined || target === 'database' ? 'part' : words[target].unit
}
