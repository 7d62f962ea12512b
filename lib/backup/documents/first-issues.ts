import type * as z from 'zod'

type Issue = z.ZodError['issues'][number]

/**
 * What does not fit the schema in the first element of a list or a record that does not. Asked before a whole document that somebody else
 * may have written is parsed: zod collects what is wrong with each of a million elements, which takes a gigabyte.
 * @see docs/decisions.md#what-is-read-whole-has-bounds
 * @returns none: all elements fit; what holds them may not
 */
export function firstIssues(schema: z.ZodType, value: unknown, path: readonly PropertyKey[] = []): Issue[] {
  if (typeof value !== 'object' || value === null) return []
  const { type, shape, innerType, element, valueType } = schema.def as Definition
  if (innerType !== undefined) return firstIssues(innerType, value, path)
  const one = element ?? valueType
  if (Array.isArray(value) !== (type === 'array')) return []
  // The names of all elements of a list would be a million texts.
  for (const [name, each] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const inner = one ?? shape?.[name]
    // `constructor` is no member of a schema, though each has one.
    const issues = inner?.def ? (one ? issuesOf : firstIssues)(inner, each, [...path, name]) : []
    if (issues.length > 0) return issues
  }
  return []
}

/** Its own lists come first, or what is wrong with these would be collected. */
function issuesOf(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): Issue[] {
  const within = firstIssues(schema, value, path)
  if (within.length > 0) return within
  const issues = schema.safeParse(value).error?.issues ?? []
  return issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] }))
}

/** As zod describes objects, what may be null or missing, lists, and records. */
type Definition = {
  type: string
  shape?: Record<string, z.ZodType>
  innerType?: z.ZodType
  element?: z.ZodType
  valueType?: z.ZodType
}
