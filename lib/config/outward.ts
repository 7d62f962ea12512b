import * as z from 'zod'
import { hooks, notices, privateHosts } from './calls.ts'
import { schedules } from './schedules.ts'
import { webAddress } from './values.ts'

/** The variables of what is said, and called, outside: schedules, hooks and notices. A part of those of variables.ts. */
export const outward = {
  SCHEDULES: {
    schema: schedules.prefault('[]'),
    is: 'when runs are started, as it was deployed, for what tells the next times: a JSON array of name, expression, operation and, where wanted, state, timeZone, strategy and to',
    example:
      '[{"name":"nightly","expression":"cron(0 3 * * ? *)","timeZone":"Europe/Berlin","operation":"reset","to":"baseline"}]',
  },
  PUBLIC_NEXT_RESET: {
    schema: z.stringbool().prefault('false'),
    is: 'true tells everybody, without a token, when the next reset is scheduled',
    example: 'true',
  },
  PAGE_URL: {
    schema: webAddress.optional(),
    is: 'the address of the page, for links to a run',
    example: 'https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com',
  },
  HOOKS: {
    schema: hooks.prefault('[]'),
    is: 'what is called before and after a reset or a restore: a JSON array of name, moment, and url with secret, or function',
    example: 'ssm:/taskmaster/hooks',
  },
  HOOKS_ON: {
    schema: z.stringbool().optional(),
    is: 'whether there are hooks, for what must not know their secrets; default: whether HOOKS holds any',
    example: 'true',
  },
  NOTICES: {
    schema: notices.prefault('[]'),
    is: 'who is told of the ends of runs: a JSON array of name, kind, and url or topic',
    example: 'ssm:/taskmaster/notices',
  },
  ALLOWED_PRIVATE_HOSTS: {
    schema: privateHosts.prefault(''),
    is: "hosts of one's own network that hooks and notices may call, with a port or without; others must be public",
    example: 'ops.internal,localhost:8080',
  },
}
