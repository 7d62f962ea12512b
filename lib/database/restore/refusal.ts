import { messageOf, SchemaChanged } from '../../errors.ts'
import type { RowExpression } from '../constraints/row-expressions.ts'
import type { TablePair } from '../table-pair.ts'

/** Rows that a table refuses were fine when they were backed up: an index, a type or a function is another one now. */
export function refusedBy(
  { table, live }: TablePair,
  expressions: readonly RowExpression[],
  error: unknown,
): SchemaChanged {
  const labels = expressions.filter(({ oid }) => oid === live.oid).map(({ label }) => label)
  const calls =
    labels.length === 0 ? '' : ` (its ${labels.join(', its ')} may call a function that refuses them)`
  return new SchemaChanged(
    `The live table ${table.name} does not take its rows of the backup: ${messageOf(error)}${calls}. Nothing was changed; bring the index, the type, the generated column or the function that refuses them back to what it was, then restore`,
    { cause: error },
  )
}
