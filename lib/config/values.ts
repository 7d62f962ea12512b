import * as z from 'zod'

// What a variable's text can be, and what is made of it.

export const name = z.string().regex(/\S/, 'is empty')

/** Digits only: Number('') and Number(' ') are 0, and a limit of 0 is not what an empty line means. */
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'is not a whole number')
  .transform(Number)
export const positive = wholeNumber.refine((number) => number > 0, 'must be above 0')
export const limit = wholeNumber.optional()
export const keep = positive.optional()

/**
 * A comma-separated list, or a JSON array of strings for names that hold commas. Nothing stands between two commas or
 * after the last: as a prefix, an empty item would match everything.
 */
export const list = z.string().transform((text, context) => {
  const trimmed = text.trim()
  if (!trimmed.startsWith('[')) {
    return trimmed
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }
  const parsed = z.array(name).safeParse(parseJson(trimmed))
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom', message: 'begins with "[" but is not a JSON array of strings' })
  return z.NEVER
})

export const schemas = list
  .refine((names) => names.length > 0, 'names no schema, so that nothing would be managed')
  .refine(
    (names) =>
      !names.some((schema) =>
        /^(pg_|information_schema$|taskmaster_reset$|taskmaster_scratch_)/.test(schema),
      ),
    'names a schema of Postgres or of this tool, which is never managed',
  )

export const conditions = z.string().transform((text, context) => {
  const parsed = z.record(name, name).safeParse(text.trim() === '' ? {} : parseJson(text))
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom', message: 'is not a JSON object of table names and conditions' })
  return z.NEVER
})

export const folder = name.refine(
  (text) => text.endsWith('/') && !text.startsWith('/'),
  'must end in "/" and not begin with it',
)

export const directHost = z
  .string()
  .refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text), 'is not a postgres:// URL')
  .refine(
    (text) => !URL.canParse(text) || !isPooled(new URL(text)),
    'is the pooled host (-pooler): its sessions are shared between clients, so that session settings and exported snapshots leak or vanish; use the direct host',
  )

/** As Neon names it, in the host, which a parameter may give as well, or in the endpoint that clients name which do not send the host. */
function isPooled({ hostname, searchParams }: URL): boolean {
  const host = searchParams.get('host') || hostname
  return /-pooler\./i.test(host) || /\bendpoint=\S*-pooler(?!\S)/i.test(searchParams.get('options') ?? '')
}

/** What a token of the HTTP API may be good for. */
export const scopes = ['read', 'backup', 'reset', 'restore', 'delete'] as const
export type Scope = (typeof scopes)[number]

const Token = z.strictObject({
  /** Stands in the ledger as who asked. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Of the token, in hexadecimal: the token itself is kept nowhere. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(scopes)),
  /** From then on the token is good for nothing; left out: never. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})
export type Token = z.output<typeof Token>

export const tokens = z.string().transform((text, context) => {
  const parsed = z.array(Token).safeParse(parseJson(text))
  if (parsed.success && new Set(parsed.data.map(({ name }) => name)).size === parsed.data.length)
    return parsed.data
  const problem = parsed.success
    ? 'gives two tokens the same name'
    : `is not a JSON array of {"name", "sha256", "scopes"} and, where wanted, "expiresAt" (${problemsOf(parsed.error)})`
  context.addIssue({ code: 'custom', message: problem })
  return z.NEVER
})

const SigningKey = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'may hold only A-Z, a-z, 0-9, ".", "_" and "-"'),
  secret: z.base64().transform((text) => Buffer.from(text, 'base64')),
})

/** Shorter ones could be guessed from what they signed. */
const signingKeyBytes = 32

export const signingKeys = z.string().transform((text, context) => {
  const parsed = z.array(SigningKey).safeParse(parseJson(text))
  const problem = !parsed.success
    ? `is not a JSON array of {"id", "secret"} (${problemsOf(parsed.error)})`
    : parsed.data.length === 0
      ? 'holds no key'
      : new Set(parsed.data.map(({ id }) => id)).size < parsed.data.length
        ? 'gives two keys the same id'
        : parsed.data.some(({ secret }) => secret.length < signingKeyBytes)
          ? `holds a secret of fewer than ${signingKeyBytes} bytes`
          : null
  if (parsed.success && problem === null) return parsed.data
  context.addIssue({ code: 'custom', message: problem ?? '' })
  return z.NEVER
})

export const machineArn = z
  .string()
  .regex(
    /^arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]{1,80}$/,
    'is not the ARN of a state machine',
  )

export const webAddress = z.url({ protocol: /^https?$/, error: 'is not an http(s):// address' })

/**
 * Where something is wrong, and what is expected there. A field that is too many is named when it reads like one: somebody may
 * have written a secret where its name belongs.
 */
export function problemsOf({ issues }: z.ZodError): string {
  return issues
    .map((issue) => {
      const isToTell =
        issue.code !== 'unrecognized_keys' || issue.keys.every((key) => /^[A-Za-z]{1,20}$/.test(key))
      return `${issue.path.join('.') || 'all of it'}: ${isToTell ? issue.message : 'has a field that is not known'}`
    })
    .join('; ')
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // not JSON; the schema around this says what was expected
  }
}
