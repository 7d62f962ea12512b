/** What Postgres tells of an error, as far as we use it. */
type Told = {
  code: string
  message: string
  where?: unknown
  routine?: unknown
  schema?: unknown
  table?: unknown
  column?: unknown
  constraint?: unknown
}

/**
 * The message of an error that Postgres reported, without anything that may come from a row; undefined for any other
 * error. A message of Postgres itself names objects, but for class 22, which repeats the value. What application code
 * raises (a check, a domain, an index function, a trigger) may say anything, and so may a statement that it makes: of
 * those only the SQLSTATE and the names are told. DETAIL, HINT and CONTEXT, which hold rows, never are.
 * @see docs/decisions.md#no-message-may-hold-a-row
 */
export function messageOfPostgres(error: unknown): string | undefined {
  if (!isPostgres(error)) return undefined
  if (!isOfApplication(error))
    return error.code.startsWith('22') ? withoutValue(error.message) : error.message
  return `SQLSTATE ${error.code}, from within code of the application${namesIn(error)}; its message is left out, as it may hold values of rows`
}

function isPostgres(error: unknown): error is Told {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    'severity' in error &&
    typeof error.code === 'string' &&
    'message' in error &&
    typeof error.message === 'string'
  )
}

/** Contexts in which no function is: a line of COPY or of JSON, a tuple that is waited for, a parameter of ours. */
const harmless = /^(COPY |JSON data, |while |unnamed portal)[^\n]*$/

function isOfApplication({ where, routine }: Told): boolean {
  if (isRaised(routine)) return true
  return typeof where === 'string' && !harmless.test(where)
}

/** By a procedural language: then the names of table, column and constraint are what its code says they are. */
function isRaised(routine: unknown): boolean {
  return typeof routine === 'string' && /^(exec_stmt_(raise|assert)|PLy_|pltcl_|plperl_|plv8)/i.test(routine)
}

function namesIn({ where, routine, ...told }: Told): string {
  const [innermost = ''] = typeof where === 'string' ? where.split('\n', 1) : []
  const [, called] = /^(?:PL\/\w+|SQL) function "?([^\n"(]+)/.exec(innermost) ?? []
  const table = [told.schema, told.table].filter((name) => typeof name === 'string').join('.')
  const objects = isRaised(routine)
    ? []
    : [
        ...(table === '' ? [] : [`table ${table}`]),
        ...(typeof told.column === 'string' ? [`column ${told.column}`] : []),
        ...(typeof told.constraint === 'string' ? [`constraint ${told.constraint}`] : []),
      ]
  const names = [...(called === undefined ? [] : [`function ${called}`]), ...objects]
  return names.length === 0 ? '' : ` (${names.join(', ')})`
}

/** Of class 22: the value stands in quotes, or at the end. */
function withoutValue(message: string): string {
  return message.replace(/".*"/s, '"…"').replace(/: (?!"\u2026"$).*/s, ': …')
}
