import { readFile } from 'node:fs/promises'
import { Hono } from 'hono'
import { NoSuchRoute } from '../errors.ts'

/** What of the script is fetched when a view needs it; the name changes with the content. */
export const chunkName = /^chunk-[A-Z0-9]{8}\.js$/

const script = 'text/javascript; charset=utf-8'
const types = new Map([
  ['index.html', 'text/html; charset=utf-8'],
  ['app.js', script],
  ['app.css', 'text/css; charset=utf-8'],
])

/**
 * The web page: `/`, and its script and style below `/assets/`.
 * @param folders where the built page may lie; the first that holds a file counts
 */
export function page(folders: readonly URL[]): Hono {
  return new Hono()
    .get('/', () => serve(folders, 'index.html'))
    .get('/assets/:file', ({ req }) => serve(folders, req.param('file')))
}

async function serve(folders: readonly URL[], file: string): Promise<Response> {
  const isChunk = chunkName.test(file)
  const type = isChunk ? script : types.get(file)
  if (type === undefined) throw new NoSuchRoute(`There is no /assets/${file}. The page is at /`)
  const body = await readFirst(folders.map((folder) => new URL(file, folder)))
  if (body !== undefined) {
    // Asked for again each time, so that a new version is there at once; it names chunks of other names.
    const cacheControl = isChunk ? 'max-age=31536000, immutable' : 'no-cache'
    return new Response(body, { headers: { 'content-type': type, 'cache-control': cacheControl } })
  }
  const text = 'The page was not built: run "npm run build" and deploy again. The API works without it.\n'
  return new Response(text, { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' } })
}

/** The text of the first of the files that is there. */
export async function readFirst(files: readonly URL[]): Promise<string | undefined> {
  for (const file of files) {
    const text = await readIfThere(file)
    if (text !== undefined) return text
  }
  return undefined
}

async function readIfThere(file: URL): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
