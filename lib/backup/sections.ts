import * as z from 'zod'
import {
  CacheSection,
  cacheProblems,
  cacheTotals,
  LateCacheSection,
  lateKeyProblems,
  listedKeys,
  mergeCache,
  objectsOfCache,
} from './sections/cache.ts'
import {
  DatabaseSection,
  databaseTotals,
  LateDatabaseSection,
  listedRows,
  objectsOfDatabase,
} from './sections/database.ts'
import { databaseProblems, lateTableProblems } from './sections/database-problems.ts'
import { FilesSection, filesProblems, filesTotals, listedFiles, objectsOfFiles } from './sections/files.ts'
import { mergeDatabase } from './sections/merge-tables.ts'
import type { LateSection, Problems, SectionObject, Totals } from './sections/section.ts'

// What is asked of each section of a manifest, one for each store: a list for each question, as in lib/stores.ts.

export type ManifestSections = { database: DatabaseSection; files: FilesSection; cache: CacheSection }
export type SectionName = keyof ManifestSections

/** As they stand in a manifest; null: the backup leaves that store out. */
export const sections = {
  database: DatabaseSection.nullable(),
  files: FilesSection.nullable(),
  cache: CacheSection.nullable(),
}
export const sectionNames = Object.keys(sections) as SectionName[]

export const problems: { [Name in SectionName]: Problems<ManifestSections[Name]> } = {
  database: databaseProblems,
  files: filesProblems,
  cache: cacheProblems,
}

/** What a manifest says of what the run was told to keep of each. */
export const preservedFields = {
  ...{ tables: z.array(z.string()), rows: z.record(z.string(), z.string()) },
  files: z.array(z.string()),
  keys: z.array(z.string()),
}

/** The objects that a section names. */
export const objects: { [Name in SectionName]: (section: ManifestSections[Name]) => SectionObject[] } = {
  database: objectsOfDatabase,
  files: objectsOfFiles,
  cache: objectsOfCache,
}

/** What a list of backups says of each. */
export const listedFields = () => ({ ...listedRows(), ...listedFiles(), ...listedKeys() })
export const totals: { [Name in SectionName]: Totals<ManifestSections[Name]> } = {
  database: databaseTotals,
  files: filesTotals,
  cache: cacheTotals,
}

/** What late files list, of the stores whose wipe adds late ones to the backup. */
export const lateFields = { ...LateDatabaseSection.shape, ...LateCacheSection.shape }
export const lateSections: {
  [Name in SectionName]: LateSection<ManifestSections[Name], LateDatabaseSection & LateCacheSection> | null
} = {
  database: { problems: lateTableProblems, merge: mergeDatabase },
  files: null,
  cache: { problems: lateKeyProblems, merge: mergeCache },
}
