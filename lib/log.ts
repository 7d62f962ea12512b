import { Logger } from '@aws-lambda-powertools/logger'
import { visible } from './visible.ts'

/** JSON lines on stdout; LOG_LEVEL says which. */
export const logger = new Logger({
  serviceName: 'taskmaster-reset',
  jsonReplacerFn: (_key, value) => (typeof value === 'string' ? visible(value) : value),
})
