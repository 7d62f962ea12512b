import type { Manifest } from './backup/manifest.ts'
import { sealCache } from './cache/export/seal.ts'
import { cacheExtent, lookAtCache } from './cache/look.ts'
import { cacheMark, claimCache } from './cache/mark.ts'
import { type CacheLeft, cacheEnd } from './cache/outcome.ts'
import { cacheLimit, planCache } from './cache/plan.ts'
import { CacheDifference } from './cache/schema/difference.ts'
import { CacheOption } from './cache/schema/option.ts'
import { CacheCounts } from './cache/schema/outcome.ts'
import { CacheInRestore, CachePlan } from './cache/schema/plan.ts'
import { CacheBack, CachePlanAnswer, CacheWould, cachePlanTold } from './cache/schema/plan-answer.ts'
import { CacheInLedger, CacheRestoreInLedger, cacheSummary } from './cache/schema/plan-summary.ts'
import { sealDatabase } from './database/export/seal.ts'
import { databaseExtent, lookAtDatabase } from './database/look.ts'
import { claimDatabase, databaseMark } from './database/mark.ts'
import { type DatabaseLeft, databaseEnd } from './database/outcome.ts'
import { databaseLimit, planDatabase } from './database/plan/plan.ts'
import { DatabaseDifference } from './database/schema/difference.ts'
import { DatabaseOption } from './database/schema/option.ts'
import { DatabaseCounts } from './database/schema/outcome.ts'
import { DatabaseInRestore, DatabasePlan } from './database/schema/plan.ts'
import {
  DatabaseBack,
  DatabasePlanAnswer,
  DatabaseWould,
  databasePlanTold,
} from './database/schema/plan-answer.ts'
import { DatabaseInLedger, DatabaseRestoreInLedger, databaseSummary } from './database/schema/plan-summary.ts'
import { sealFiles } from './files/copy/seal.ts'
import { filesExtent, lookAtFiles } from './files/look.ts'
import { claimFiles, filesMark } from './files/mark.ts'
import { type FilesLeft, filesEnd } from './files/outcome.ts'
import { filesLimit, planFiles } from './files/plan.ts'
import { FilesDifference } from './files/schema/difference.ts'
import { FilesOption } from './files/schema/option.ts'
import { FilesCounts } from './files/schema/outcome.ts'
import { FilesInRestore, FilesPlan } from './files/schema/plan.ts'
import { FilesBack, FilesPlanAnswer, FilesWould, filesPlanTold } from './files/schema/plan-answer.ts'
import { FilesInLedger, FilesRestoreInLedger, filesSummary } from './files/schema/plan-summary.ts'
import type { PlanTeller, Sections, Summarizer } from './store/sections.ts'
import { everything } from './store/selection.ts'
import type { Ender, Extent, Limit, Look, Mark, MarkWriter, Planner, Sealer, Target } from './store.ts'

// What each store answers to what a run asks of all of them, and what its sections of a run's documents look like. A function
// that asks one question carries only the modules that answer it, since each list stands by itself.
// See docs/decisions.md#what-a-run-asks-of-the-stores-is-a-list-for-each-question.

/** Of a run's plan, as the steps read it from S3; of what a restore puts back each store has fields. */
export const planSchemas = { database: DatabasePlan, files: FilesPlan, cache: CachePlan }
export const restoreSchemas = { database: DatabaseInRestore, files: FilesInRestore, cache: CacheInRestore }
export type Planned = Sections<typeof planSchemas>
export type Restores = Sections<typeof restoreSchemas>

/** The same in the ledger. */
export const summarySchemas = { database: DatabaseInLedger, files: FilesInLedger, cache: CacheInLedger }
export const restoreSummarySchemas = {
  database: DatabaseRestoreInLedger,
  files: FilesRestoreInLedger,
  cache: CacheRestoreInLedger,
}
export type Summaries = { [T in Target]: NonNullable<Sections<typeof summarySchemas>[T]> }
export type RestoreSummaries = Sections<typeof restoreSummarySchemas>

/** What a run's answer tells of the plan; of a dry run what would be done, and how much the backup holds that it is about. */
export const answerSchemas = { database: DatabasePlanAnswer, files: FilesPlanAnswer, cache: CachePlanAnswer }
export const wouldSchemas = { database: DatabaseWould, files: FilesWould, cache: CacheWould }
export const backSchemas = { database: DatabaseBack, files: FilesBack, cache: CacheBack }
export type Answers = Sections<typeof answerSchemas>
export type Woulds = Sections<typeof wouldSchemas>

/** What became of a store since a backup. */
export const differenceSchemas = {
  database: DatabaseDifference,
  files: FilesDifference,
  cache: CacheDifference,
}
export type Differences = Sections<typeof differenceSchemas>

/** What could be reset of a store. */
export const optionSchemas = { database: DatabaseOption, files: FilesOption, cache: CacheOption }
export type Found = Sections<typeof optionSchemas>

/** The numbers that an outcome tells. */
export const countSchemas = { database: DatabaseCounts, files: FilesCounts, cache: CacheCounts }
export type Counts = Sections<typeof countSchemas>

/** A store's section of the manifest. */
export type Held = { [T in Target]: NonNullable<Manifest[T]> }

/** What a run's steps left of a store. */
export type Left = { database: DatabaseLeft; files: FilesLeft; cache: CacheLeft }

export const marks: Record<Target, Mark> = { database: databaseMark, files: filesMark, cache: cacheMark }

export const markWriters: Record<Target, MarkWriter> = {
  database: claimDatabase,
  files: claimFiles,
  cache: claimCache,
}

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

/** What a plan says of a restore to which a store has nothing to do. */
export const noRestores: Restores = {
  database: { without: [], crossing: 'warn', batches: 0 },
  files: { files: null, touchedFiles: everything },
  cache: { touchedKeys: everything },
}

export const limits: { [T in Target]: Limit<Planned[T]> } = {
  database: databaseLimit,
  files: filesLimit,
  cache: cacheLimit,
}

export const summarizers: { [T in Target]: Summarizer<Planned[T], Summaries[T], Held[T]> } = {
  database: databaseSummary,
  files: filesSummary,
  cache: cacheSummary,
}

export const planTellers: { [T in Target]: PlanTeller<Summaries[T], Answers[T], Woulds[T]> } = {
  database: databasePlanTold,
  files: filesPlanTold,
  cache: cachePlanTold,
}

export const sealers: { [T in Target]: Sealer<Planned[T], Held[T]> } = {
  database: sealDatabase,
  files: sealFiles,
  cache: sealCache,
}

export const enders: {
  [T in Target]: Ender<Summaries[T], RestoreSummaries[T], Held[T], Left[T], Counts[T]>
} = {
  database: databaseEnd,
  files: filesEnd,
  cache: cacheEnd,
}
