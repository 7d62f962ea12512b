import '@hono/zod-openapi' // every schema has .openapi() from here on
import { Status as Told } from '../../run/status/status.ts'

/** A schema of its own, for what was made before it has no .openapi(). */
export const Status = Told.extend({}).openapi('Status')
