import * as z from 'zod'

/** How many entries a page has at most. */
export const limitUpTo = (most: number, otherwise: number) =>
  z
    .string()
    .regex(/^\d{1,4}$/, 'is not a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(most))
    .default(otherwise)
    .meta({
      ...{ type: 'integer', minimum: 1, maximum: most },
      description: `Entries of a page at most. Left out: ${otherwise}`,
    })

/** The header `Link` of a page that is not the last (RFC 8288): the address of the next one, as the caller asked for this one. */
export function linkToNext(url: string, cursor: Record<string, string | null>): { link?: string } {
  const { pathname, searchParams } = new URL(url)
  for (const [name, value] of Object.entries(cursor)) {
    if (value === null) return {}
    searchParams.set(name, value)
  }
  return { link: `<${pathname}?${searchParams}>; rel="next"` }
}
