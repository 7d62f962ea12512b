import type { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { BackupOperation } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'
import type { OnBackup } from '../request.ts'
import type { Subject } from '../subject-state.ts'

// What a run asks of each operation on one backup, as types; on-backup/operations.ts has the answers.

export type RequestTo<Name extends BackupOperation> = Extract<OnBackup, { operation: Name }>

/** Refuses at once what Count would refuse, as far as that is known without the lock; the marks are looked at before. */
export type StartCheck<Name extends BackupOperation> = (
  clients: Clients,
  connection: Connection,
  request: RequestTo<Name>,
) => Promise<void>

/** Decides what the run does, under the lock. What it throws, the run is refused with. */
export type MaintenancePlanner<Name extends BackupOperation> = (
  clients: Clients,
  connection: Connection,
  asked: { run: RunRef; request: RequestTo<Name> },
) => Promise<PlannedOnBackup>

export type PlannedOnBackup = { plan: MaintenancePlan; subject: SubjectSummary; warnings: Warning[] }

/** What became of the backup, with the objects and bytes that were read or deleted. */
export type SubjectEnd = Omit<Subject, 'backupId' | 'to'>
