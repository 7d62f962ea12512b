import { bytes, counted } from '../../lib/amounts.ts'
import type { DatabaseOption, TableOption } from '../../lib/database/schema/option.ts'
import { table } from '../cli/show/table.ts'

export function showDatabaseOption(database: DatabaseOption): string {
  const rows = database.tables.map((one) => [
    one.name,
    one.label ?? '',
    one.rows === null ? 'not readable' : counted(one.rows, 'row'),
    bytes(one.bytes),
    actionOf(one),
  ])
  const unmanaged = database.unmanaged.map(({ name, reason }) => [name, 'not managed', reason])
  const problem = database.problem
  return [
    rows.length === 0 ? '  no tables\n' : table(rows),
    table(unmanaged),
    ...database.warnings.map(({ code, message }) => `  Warning ${code}: ${message}\n`),
    problem === null
      ? ''
      : `  A reset of the database would be refused. ${problem.name}: ${problem.message}\n`,
  ].join('')
}

function actionOf({ action, keptRows, keepRows }: TableOption): string {
  if (action !== 'keeps some rows') return action ?? ''
  return `wiped but for ${counted(keptRows, 'row')} (${keepRows})`
}
