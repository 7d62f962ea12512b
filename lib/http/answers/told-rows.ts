import '@hono/zod-openapi' // every schema has .openapi() from here on
import { ToldRows as Told } from '../../database/schema/differing-rows.ts'

/** The first rows that differ, as a diff keeps them: a schema of its own, for what was made before it has no .openapi(). */
export const ToldRows = Told.extend({}).openapi('ToldRows')
