// A reset by a client that openapi-typescript typed: of a request only what must be said is said.
import createClient from 'openapi-fetch'
import type { components, paths } from './generated/openapi-typescript.d.ts'

const { API_URL: baseUrl = '', API_TOKEN: token = '' } = process.env
const api = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } })

const { data: session, error: unknown } = await api.GET('/v1/session')
if (session === undefined) throw new Error(unknown?.detail)

const reset: components['schemas']['ResetRequest'] = {
  operation: 'reset',
  strategy: 'files-only',
  confirm: session.environment,
}
const { data: started, error } = await api.POST('/v1/runs', {
  params: { header: { 'idempotency-key': 'by-openapi-fetch' } },
  body: reset,
})
if (started === undefined) throw new Error(`${error?.title}: ${error?.detail}`)

type Run = components['schemas']['Run']
let run: Run | undefined
while (run === undefined || run.finishedAt === null) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  const { data } = await api.GET('/v1/runs/{runId}', { params: { path: { runId: started.runId } } })
  run = data
}

const refused = await api.GET('/v1/runs', { params: { query: { before: 'nobody' } } })
const page = await api.GET('/v1/runs', { params: { query: { limit: 1 } } })
console.log(
  JSON.stringify({
    status: run.status,
    objects: run.outcome?.targets.files.objects,
    refused: refused.error?.title,
    newest: page.data?.runs[0]?.runId === started.runId,
  }),
)
