import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import type { Api } from '../api.ts'
import { withHeaders } from '../document/headers.ts'
import { refusalsOf } from '../document/refusals.ts'
import { NoSuchRoute } from '../errors.ts'
import { readFirst } from './page.ts'

const route = createRoute({
  operationId: 'getProblem',
  method: 'get',
  path: '/problems/{name}',
  tags: ['Documentation'],
  summary: "Read the runbook's paragraph on an error",
  description: 'The `type` of a problem leads here. For people; needs no token.',
  security: [],
  request: {
    params: z.object({
      name: z
        .string()
        .regex(/^[A-Za-z][A-Za-z.]{0,63}$/)
        .meta({ example: 'RunActive' }),
    }),
  },
  responses: {
    200: {
      description: 'The paragraph',
      headers: withHeaders(),
      content: { 'text/html': { schema: z.string(), example: '<!doctype html><title>RunActive</title>…' } },
    },
    ...refusalsOf(400, 404, 429, 500),
  },
})

/**
 * What the `type` of a problem leads to: the entry of the runbook, as it was when this version was built.
 * @param documents where docs/operations.md may lie; the first that is there counts
 * @see docs/decisions.md#a-problems-type-is-a-path-of-the-runbook
 */
export function problems(documents: readonly URL[]): OpenAPIHono<Api> {
  return new OpenAPIHono<Api>().openapi(route, async ({ req, html }) => {
    const { name } = req.valid('param')
    const entry = entryOf(await readFirst(documents), name)
    if (entry === undefined) {
      throw new NoSuchRoute(
        `The runbook knows no error ${name}. docs/operations.md lists those that there are`,
      )
    }
    return html(pageOf(name, entry), 200, { 'cache-control': 'public, max-age=3600' })
  })
}

/** A section of the runbook by its name; what has none of its own may stand in the one on other names. */
function entryOf(runbook: string | undefined, name: string): string | undefined {
  const chapter = (runbook ?? '').split(/^## /m).find((text) => text.startsWith('Runbook\n')) ?? ''
  const sections = chapter.split(/^### /m).map((section) => section.split(/\n(.*)/s))
  const own = sections.find(([title]) => title === name)?.[1]
  const others = sections.find(([title]) => title === 'Names that are not ours')?.[1]
  return own ?? (others?.includes(`\`${name}\``) ? others : undefined)
}

function pageOf(name: string, entry: string): string {
  const paragraphs = entry.trim().split(/\n{2,}/)
  const body = paragraphs.map((text) => `<p>${inline(text)}</p>`).join('\n')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${name} · taskmaster-reset</title>
<h1>${name}</h1>
${body}
</html>
`
}

/** The little of Markdown that the runbook's entries use. */
function inline(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
}
