import { makeApp } from '../lib/http/app.ts'
import { behindGateway } from '../lib/http/gateway.ts'
import { currentClients } from '../lib/task.ts'

/** Every route of the HTTP API, and the web page: events of payload format 2.0. */
export const handler = behindGateway(
  makeApp({
    clients: currentClients,
    // Beside the bundle; for the sources, where `npm run build` writes it.
    pageFolders: [new URL('./console/', import.meta.url), new URL('../dist/api/console/', import.meta.url)],
    documents: [
      new URL('./operations.md', import.meta.url),
      new URL('../docs/operations.md', import.meta.url),
    ],
  }),
)
