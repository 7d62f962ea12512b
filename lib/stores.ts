import type { Manifest } from './backup/manifest.ts'
import { sealCache } from './cache/export/seal.ts'
import { cacheExtent, lookAtCache } from './cache/look.ts'
import { cacheMark, claimCache } from './cache/mark.ts'
import { type CacheLeft, cacheEnd } from './cache/outcome.ts'
import { cacheLimit, planCache } from './cache/plan.ts'
import type { CacheOption } from './cache/schema/option.ts'
import type { CachePlan } from './cache/schema/plan.ts'
import type { CacheSummary } from './cache/schema/plan-summary.ts'
import { sealDatabase } from './database/export/seal.ts'
import { databaseExtent, lookAtDatabase } from './database/look.ts'
import { claimDatabase, databaseMark } from './database/mark.ts'
import { type DatabaseLeft, databaseEnd } from './database/outcome.ts'
import { databaseLimit, planDatabase } from './database/plan/plan.ts'
import type { DatabaseOption } from './database/schema/option.ts'
import type { DatabasePlan } from './database/schema/plan.ts'
import type { DatabaseSummary } from './database/schema/plan-summary.ts'
import { sealFiles } from './files/copy/seal.ts'
import { filesExtent, lookAtFiles } from './files/look.ts'
import { claimFiles, filesMark } from './files/mark.ts'
import { type FilesLeft, filesEnd } from './files/outcome.ts'
import { filesLimit, planFiles } from './files/plan.ts'
import type { FilesOption } from './files/schema/option.ts'
import type { FilesPlan, FilesRestorePlan } from './files/schema/plan.ts'
import type { FilesRestoreSummary, FilesSummary } from './files/schema/plan-summary.ts'
import type { Ender, Extent, Limit, Look, Mark, MarkWriter, Planner, Sealer, Target } from './store.ts'

// What each store answers to what a run asks of all of them. A function that asks one question carries only the modules
// that answer it, since each list stands by itself. See docs/decisions.md#what-a-run-asks-of-the-stores-is-a-list-for-each-question.

/** A store's section of the plan, and what a restore of it needs besides. */
export type Planned = { database: DatabasePlan; files: FilesPlan; cache: CachePlan }
export type Restores = {
  database: { without: string[]; batches: number }
  files: FilesRestorePlan
  cache: never
}

/** A store's section of the manifest. */
export type Held = { [T in Target]: NonNullable<Manifest[T]> }

export const marks: Record<Target, Mark> = { database: databaseMark, files: filesMark, cache: cacheMark }

export const markWriters: Record<Target, MarkWriter> = {
  database: claimDatabase,
  files: claimFiles,
  cache: claimCache,
}

/** What could be reset of a store. */
export type Found = { database: DatabaseOption; files: FilesOption; cache: CacheOption }

export const extents: Record<Target, Extent> = {
  database: databaseExtent,
  files: filesExtent,
  cache: cacheExtent,
}

export const looks: { [T in Target]: Look<Found[T]> } = {
  database: lookAtDatabase,
  files: lookAtFiles,
  cache: lookAtCache,
}

export const planners: { [T in Target]: Planner<Planned[T], Restores[T]> } = {
  database: planDatabase,
  files: planFiles,
  cache: planCache,
}

export const limits: { [T in Target]: Limit<Planned[T]> } = {
  database: databaseLimit,
  files: filesLimit,
  cache: cacheLimit,
}

export const sealers: { [T in Target]: Sealer<Planned[T], Held[T]> } = {
  database: sealDatabase,
  files: sealFiles,
  cache: sealCache,
}

/** What the ledger keeps of a store's section of the plan, and of what a restore of it needs besides. */
export type Summaries = { database: DatabaseSummary; files: FilesSummary; cache: CacheSummary }
export type RestoreSummaries = { database: { batches: number }; files: FilesRestoreSummary; cache: never }

/** What a run's steps left of a store, and the numbers that its outcome tells. */
export type Left = { database: DatabaseLeft; files: FilesLeft; cache: CacheLeft }
export type Counts = {
  database: { rows: number; tables: Record<string, number> }
  files: { objects: number; bytes: number }
  cache: { keys: number }
}

export const enders: {
  [T in Target]: Ender<Summaries[T], RestoreSummaries[T], Held[T], Left[T], Counts[T]>
} = {
  database: databaseEnd,
  files: filesEnd,
  cache: cacheEnd,
}
