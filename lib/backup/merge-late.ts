import type { Late, Manifest } from './manifest.ts'
import { lateSections, type ManifestSections, type SectionName, sectionNames } from './sections.ts'

/** A manifest with the parts, sequences and totals of its late file in place. */
export function withLate(manifest: Manifest, late: Late): Manifest & { late: number } {
  const merged = Object.fromEntries(sectionNames.map((name) => [name, merge(name, manifest[name])]))
  return { ...manifest, ...merged, late: late.attempt }

  function merge<Name extends SectionName>(name: Name, section: ManifestSections[Name] | null) {
    return section && (lateSections[name]?.merge(section, late) ?? section)
  }
}
