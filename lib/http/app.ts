import { OpenAPIHono } from '@hono/zod-openapi'
import type { Clients } from '../clients.ts'
import type { Api } from './api.ts'
import { authenticated } from './auth.ts'
import { openApiDocument } from './document/openapi.ts'
import { beginning, InvalidInput, NoSuchRoute } from './errors.ts'
import { answerError, identify, logRequest, refuseUnreadable } from './log.ts'
import { knownMethods } from './methods.ts'
import { noteUse } from './note-use.ts'
import { limitStrangers, makeLimits, type Rates, usualRates } from './rate-limit.ts'
import { limitBody } from './request/body.ts'
import { securityHeaders } from './request/headers.ts'
import { refuseNameless } from './request/query.ts'
import { backupList } from './routes/backups/list.ts'
import { backupNames } from './routes/backups/names.ts'
import { backups } from './routes/backups.ts'
import { deleteBackup } from './routes/delete-backup.ts'
import { download } from './routes/download.ts'
import { nextResetRoute } from './routes/next-reset.ts'
import { options } from './routes/options.ts'
import { page } from './routes/page.ts'
import { problems } from './routes/problems.ts'
import { runRows } from './routes/run-rows.ts'
import { runs } from './routes/runs.ts'
import { schedules } from './routes/schedules.ts'
import { session } from './routes/session.ts'
import { status } from './routes/status.ts'
import { tokens } from './routes/tokens.ts'

type AppSettings = {
  /** Asked for at each request with a token: the page and the document need no store. */
  clients: () => Promise<Clients>
  /** Where the built page may lie. */
  pageFolders: readonly URL[]
  /** Where docs/operations.md may lie, of which the runbook is a part. */
  documents: readonly URL[]
  rates?: Rates
}

/**
 * The HTTP API and the web page. Whatever is thrown becomes a problem document.
 * @see docs/decisions.md#hono-and-zod-openapi-for-the-http-api
 */
export function makeApp({
  clients,
  pageFolders,
  documents,
  rates = usualRates,
}: AppSettings): OpenAPIHono<Api> {
  const app = new OpenAPIHono<Api>({
    defaultHook: (result) => {
      if (!result.success) throw new InvalidInput(result.error)
    },
  })
  app.onError(answerError)
  app.notFound((context) => {
    const { path } = context.req
    const error = new NoSuchRoute(`There is no ${beginning(path)}. /v1/openapi.json lists what there is`)
    return answerError(error, context) // thrown here, it would come without the security headers
  })
  const limits = makeLimits(rates)
  app.use(
    identify,
    logRequest,
    securityHeaders,
    limitStrangers(limits),
    refuseUnreadable,
    knownMethods(app, limits),
  )
  app.route('/', page(pageFolders))
  app.route('/', problems(documents))
  let document: ReturnType<typeof openApiDocument> | undefined
  app.get('/v1/openapi.json', ({ json }) => {
    document ??= openApiDocument(app)
    return json(document)
  })
  app.route('/', nextResetRoute(clients))
  app.use('/v1/*', authenticated(clients, limits), noteUse(), refuseNameless, limitBody)
  const environment = [session, tokens, schedules, options, status]
  const ofBackups = [backupList, backups, backupNames, download, deleteBackup]
  for (const resource of [...environment, runs, runRows, ...ofBackups]) app.route('/', resource)
  return app
}
