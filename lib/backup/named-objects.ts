import type { Manifest } from './manifest.ts'
import type { SectionObject } from './sections/section.ts'
import { type ManifestSections, objects, type SectionName, sectionNames } from './sections.ts'

export type NamedObject = SectionObject & { section: SectionName }

/** Every object that the sections of a manifest name, in the order of the stores. */
export function namedObjects(manifest: Pick<Manifest, SectionName>): NamedObject[] {
  return sectionNames.flatMap((name) => objectsOf(name, manifest[name]))
}

function objectsOf<Name extends SectionName>(
  name: Name,
  section: ManifestSections[Name] | null,
): NamedObject[] {
  return section === null ? [] : objects[name](section).map((one) => ({ section: name, ...one }))
}
