import { backupKeys, latePartOf } from './layout.ts'
import type { Late, Manifest } from './manifest.ts'
import { lateSections, type ManifestSections, problems, type SectionName, sectionNames } from './sections.ts'

/**
 * What does not fit together inside a manifest, a sentence each: the parts of a table cover its pages once, sums agree,
 * and every key is the one that the layout gives to that very part, so that none points outside the backup or to the
 * part of another table. None: the manifest is consistent.
 */
export function* manifestProblems(
  manifest: Manifest,
  { prefix, backupId }: { prefix: string; backupId: string },
): Generator<string> {
  if (manifest.backupId !== backupId)
    yield `it is the manifest of ${manifest.backupId}, but lies in the folder of ${backupId}`
  const keys = backupKeys(prefix, backupId)
  if (manifest.database !== null && (manifest.database.seed !== undefined) !== manifest.version > 1)
    yield 'a seed of fingerprints and its version do not go together'
  for (const name of sectionNames) yield* problemsOf(name, manifest[name])

  function problemsOf<Name extends SectionName>(
    name: Name,
    section: ManifestSections[Name] | null,
  ): Iterable<string> {
    return section === null ? [] : problems[name](section, keys)
  }
}

/** What in a late file does not fit the (consistent) manifest: each of its parts replaces one that is there. */
export function* lateProblems(
  late: Late,
  manifest: Manifest,
  { prefix, backupId, attempt }: { prefix: string; backupId: string; attempt: number },
): Generator<string> {
  if (late.backupId !== backupId)
    yield `it belongs to ${late.backupId}, but lies in the folder of ${backupId}`
  if (late.version !== manifest.version)
    yield `it has the version ${late.version}, the manifest ${manifest.version}`
  if ((late.environment ?? manifest.environment) !== manifest.environment)
    yield `it belongs to the environment ${late.environment}, the manifest to ${manifest.environment}`
  if (late.signature !== undefined && late.environment === undefined)
    yield 'it is signed, but for no environment'
  if (late.attempt !== attempt) yield `it says it is attempt ${late.attempt}`
  const keys = backupKeys(prefix, backupId)
  const writtenBy = (key: string | null) => Math.min(latePartOf(keys, key ?? '')?.attempt || attempt, attempt) // attempts count from 1
  for (const name of sectionNames) yield* lateProblemsOf(name, manifest[name])

  function lateProblemsOf<Name extends SectionName>(
    name: Name,
    section: ManifestSections[Name] | null,
  ): Iterable<string> {
    return lateSections[name]?.problems(late, section, { keys, writtenBy }) ?? []
  }
}
