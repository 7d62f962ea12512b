import type { DatabaseSection, TableDefinition } from '../../backup/sections/database.ts'
import { majorOf } from '../../postgres/version.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Table } from '../catalog/table.ts'
import type { AskedOfRows } from './asked.ts'

type Held = Pick<DatabaseSection, 'serverVersion' | 'tables' | 'definition'>

type Doubting = {
  /** The tables that would be put back, and what they ask of their rows by now, with what is above them. */
  back: readonly TableDefinition[]
  above(table: Table): readonly Table[]
  asked: readonly AskedOfRows[]
  types: readonly string[]
  catalog: Pick<Catalog, 'tables' | 'serverVersion'>
  held: Held
  /** A backup of a moment at which the rows were put back, with all that was asked then; null: none is known. */
  passed: Held | null
}

/**
 * What the live tables ask of rows that they did not when the rows were backed up, a line for each: whether the rows answer it,
 * only they can tell. A pure function. Of a backup that does not tell how its tables were made, or of another major version, which may say the
 * same in other words, only NOT NULL is compared.
 */
export function doubtsOf({ back, above, asked, types, catalog, held, passed }: Doubting): string[] {
  const live = new Map(catalog.tables.map((table) => [table.name, table]))
  const doubts: string[] = []
  const later = new Map<number, Table['columns']>()
  for (const table of back) {
    const now = live.get(table.name)
    if (now === undefined) continue
    const before = columnsOf(table)
    const then = columnsOf(passed?.tables.find(({ name }) => name === table.name))
    for (const { name, notNull } of now.columns) {
      if (!notNull || before.get(name)?.notNull !== false || then.get(name)?.notNull) continue
      doubts.push(`the column ${table.name}.${name} may not be null any more`)
    }
    const since = now.columns.filter(({ name }) => !before.has(name))
    for (const { oid } of [now, ...above(now)]) later.set(oid, since)
  }
  const texts = [held, passed].flatMap((one) => (one?.definition?.sql ? [one] : []))
  if (!texts.includes(held)) return doubts
  if (texts.some(({ serverVersion }) => majorOf(serverVersion) !== majorOf(catalog.serverVersion)))
    return doubts
  const [told, then] = texts.map(({ definition }) => definition?.sql.split(';\n\n') ?? [])
  const passedTypes = new Set(then?.map(trimmed))
  for (const type of types)
    if (!passedTypes.has(trimmed(type))) doubts.push(...doubtsOfType(type, (told ?? []).map(trimmed)))
  const isTold = tellerOf([...(told ?? []), ...(then ?? [])])
  const isNew = (one: AskedOfRows) => {
    const since = later.get(one.oid)
    return since !== undefined && !isEmptyIn(one, since) && !isTold(one)
  }
  // Those that end a restore first: a check or a foreign key may be left NOT VALID.
  const found = asked.filter(isNew).toSorted((one, other) => rank(one) - rank(other))
  return [...doubts, ...found.map(({ kind, name, sql }) => `the ${words[kind]} ${name} of ${sql} is new`)]
}

const rank = ({ kind }: AskedOfRows) => (kind === 'c' || kind === 'f' ? 1 : 0)

const words: Record<AskedOfRows['kind'], string> = {
  p: 'primary key',
  u: 'unique constraint',
  x: 'exclusion constraint',
  c: 'check',
  f: 'foreign key',
  i: 'unique index',
}

function columnsOf(table: TableDefinition | undefined): Map<string, TableDefinition['columns'][number]> {
  return new Map(table?.columns.map((column) => [column.name, column]))
}

function trimmed(statement: string): string {
  return statement.trim().replace(/;$/, '')
}

const part = String.raw`(?:"(?:[^"]|"")*"|[^"\s.(]+)`
const head = new RegExp(
  `^(?:ALTER TABLE(?: ONLY)?|CREATE(?: UNLOGGED)? TABLE|CREATE UNIQUE INDEX ${part} ON(?: ONLY)?) (${part}\\.${part})[ (]`,
)

/** Whether one of the statements asks the same of a table, whatever it was called; of a foreign key also what becomes of it on DELETE may be other. */
function tellerOf(statements: readonly string[]): (one: AskedOfRows) => boolean {
  const byTable = new Map<string, string[]>()
  for (const statement of statements.map(trimmed)) {
    const [, table] = head.exec(statement) ?? []
    if (table !== undefined) byTable.set(table, [...(byTable.get(table) ?? []), statement])
  }
  return ({ sql, kind, text }) => {
    const said =
      kind === 'f' ? (text.split(/ (?:MATCH|ON DELETE|ON UPDATE|DEFERRABLE|INITIALLY)\b/)[0] ?? text) : text
    const isSaid = (statement: string) => {
      if (kind === 'i') return statement.startsWith('CREATE UNIQUE') && statement.endsWith(said)
      if (kind === 'c' && statement.startsWith('CREATE'))
        return [',\n', '\n'].some((end) => statement.includes(` ${said}${end}`))
      if (!statement.startsWith('ALTER') || / NOT (VALID|ENFORCED)$/.test(statement)) return false
      return kind === 'f' ? statement.includes(` ${said}`) : statement.endsWith(` ${said}`)
    }
    return (byTable.get(sql) ?? []).some(isSaid)
  }
}

/**
 * Whether rows of before cannot break it, for what it asks of is in columns that came later: these are filled with what the table says,
 * with which it could be made, too; NULL, where it says nothing, is equal to nothing and refers to nothing.
 */
function isEmptyIn({ kind, text, columns }: AskedOfRows, later: Table['columns']): boolean {
  const since = later.filter(({ name }) => columns.includes(name))
  if (since.length === 0) return false
  if (kind === 'c') return since.length === columns.length
  if (/MATCH FULL|NULLS NOT DISTINCT/.test(text)) return false
  return since.some(
    ({ hasDefault, generated, identity }) => identity !== '' || (!hasDefault && generated === ''),
  )
}

const typeHead = new RegExp(`^(CREATE TYPE|CREATE DOMAIN|ALTER DOMAIN) (${part}\\.${part}) `)

/** What a type of the same name does not take any more of what it took. */
function doubtsOfType(now: string, told: readonly string[]): string[] {
  const [, what, name] = typeHead.exec(now) ?? []
  const before = told.filter((statement) => statement.startsWith(`${what} ${name} `))
  if (before.includes(now)) return []
  if (what === 'ALTER DOMAIN') {
    const [, check = now] = / ADD CONSTRAINT (?:"(?:[^"]|"")*"|\S+) (.*)$/s.exec(now) ?? []
    const isKnown = told.some((statement) => statement.startsWith(`CREATE DOMAIN ${name} `))
    return isKnown && !before.some((one) => one.endsWith(` ${check}`))
      ? [`a check of the domain ${name} is new`]
      : []
  }
  if (before[0] === undefined) return []
  const labels = labelsOf(now)
  if (labels === null) return [`the type ${name} is made otherwise now`]
  const lost = [...(labelsOf(before[0]) ?? [])].filter((label) => !labels.has(label))
  return lost.length === 0
    ? []
    : [`the type ${name} has no ${lost.slice(0, 3).join(', ')}${lost.length > 3 ? ' …' : ''} any more`]
}

function labelsOf(statement: string): Set<string> | null {
  const [, list] = / AS ENUM \((.*)\)$/s.exec(statement) ?? []
  return list === undefined ? null : new Set(list.match(/E?'(?:[^']|'')*'/g))
}
