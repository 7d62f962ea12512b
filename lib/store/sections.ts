import * as z from 'zod'
import { perStore, type Target } from '../store.ts'

// What is made of the stores' sections where a document has one for each, or the fields of all side by side.

/** What documents hold of each store. */
export type Sections<Schemas extends Record<Target, z.ZodType>> = { [T in Target]: z.output<Schemas[T]> }

/** The same, where the document may be about some of them only. */
export type Nullable<Each extends Record<Target, unknown>> = { [T in Target]: Each[T] | null }

/** A section for each store. */
export function sectionsOf<Each extends Record<Target, unknown>>(
  sectionOf: <T extends Target>(target: T) => Each[T],
): Each {
  return perStore(sectionOf) as Each
}

/** A field for each store; null: the document is not about it. */
export function nullable<Schemas extends Record<Target, z.ZodType>>(
  schemas: Schemas,
): { [T in Target]: z.ZodNullable<Schemas[T]> } {
  return sectionsOf<{ [T in Target]: z.ZodNullable<Schemas[T]> }>((target) => schemas[target].nullable())
}

/** The sections, each with these fields before its own. */
export function withFields<Fields extends z.ZodRawShape, Schemas extends Record<Target, z.ZodObject>>(
  fields: Fields,
  schemas: Schemas,
): { [T in Target]: z.ZodObject<Fields & Schemas[T]['shape'], z.core.$strict> } {
  return sectionsOf<{ [T in Target]: z.ZodObject<Fields & Schemas[T]['shape'], z.core.$strict> }>((target) =>
    z.strictObject({ ...fields, ...schemas[target].shape }),
  )
}

/** The fields of each store, in one object. */
export function together<Each extends Record<Target, object>>(each: Each): All<Each[Target]> {
  return Object.assign({}, ...Object.values(perStore((target) => each[target])))
}

/** The same for schemas. */
export function shapeOfAll<Schemas extends Record<Target, z.ZodObject>>(
  schemas: Schemas,
): All<Schemas[Target]['shape']> {
  return Object.assign({}, ...Object.values(perStore((target) => schemas[target].shape)))
}

type All<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer Every) => void
  ? Every
  : never

/** What the ledger keeps of a store's section of the plan. */
export type Summarizer<Planned, Summary, Held> = {
  /** @param restored what the backup holds that is put back; null: none is */
  section(planned: Planned, restored: Held | null): Summary
  /** How much the backup holds, of what a restore puts back. */
  restored(held: Held | null): object
}

/** What a run's answer tells of a store's section of the plan. */
export type PlanTeller<Summary, Answer, Would> = {
  answer(summary: Summary): Answer
  /** What would become of it, by a plan that is dry. */
  would(summary: Summary, operation: string): Would
}
