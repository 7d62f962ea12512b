// The same reset by the client that @hey-api/openapi-ts makes.

import { getRun, getSession, listRuns, type ResetRequest, type Run, startRun } from './generated/hey-api'
import { client } from './generated/hey-api/client.gen'

const { API_URL: baseUrl = '', API_TOKEN: auth = '' } = process.env
client.setConfig({ baseUrl, auth })

const { data: session, error: unknown } = await getSession()
if (session === undefined) throw new Error(unknown?.detail)

const body: ResetRequest = { operation: 'reset', strategy: 'files-only', confirm: session.environment }
const { data: started, error } = await startRun({ body, headers: { 'idempotency-key': 'by-hey-api' } })
if (started === undefined) throw new Error(`${error?.title}: ${error?.detail}`)

let run: Run | undefined
while (run === undefined || run.finishedAt === null) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  run = (await getRun({ path: { runId: started.runId } })).data
}

const refused = await listRuns({ query: { before: 'nobody' } })
const page = await listRuns({ query: { limit: 1 } })
console.log(
  JSON.stringify({
    status: run.status,
    objects: run.outcome?.targets.files.objects,
    refused: refused.error?.title,
    newest: page.data?.runs[0]?.runId === started.runId,
  }),
)
