import { agreeing, counted } from '../../amounts.ts'
import { ParentsMissing, PreservationConflict, type ResetError } from '../../errors.ts'

/** What of a backup stays as it is, by the oids of its tables: rows that refer to it, or that it refers to, end the restore. */
export type Staying = {
  tables: ReadonlySet<number>
  /** The restore is that of a reset, of which tables are preserved; else it is one of some tables. */
  ofReset: boolean
}

/** A foreign key. What is partitioned has the oids of its partitions, which hold the rows. */
export type CrossingKey = {
  name: string
  from: string
  to: string
  referencing: readonly number[]
  referenced: readonly number[]
}

/**
 * Why rows that break a foreign key end the restore: it is one between what is put back and what stays, and one of the two was
 * said by mistake, or to a table that the backup does not hold. null: it is none.
 * @see docs/decisions.md#keys-to-what-stays-are-asked-under-the-locks
 */
export function refusalOfCrossing(
  { name, from, to, referencing, referenced }: CrossingKey,
  back: ReadonlySet<number>,
  { tables: stays, ofReset }: Staying,
): ((rows: number | null, cause: unknown) => ResetError) | null {
  const some = (oids: readonly number[], of: ReadonlySet<number>) => oids.some((oid) => of.has(oid))
  const amount = (rows: number | null) => (rows === null ? 'Rows' : counted(rows, 'row'))
  const toStaying = some(referenced, stays)
  if (some(referencing, back) && (toStaying || !some(referenced, back))) {
    return (rows, cause) => {
      const what = `${amount(rows)} of ${from} that ${agreeing(rows ?? 2, 'is', 'are')} to be put back ${agreeing(rows ?? 2, 'refers', 'refer')} to rows of ${to} (${name}) that are not there, and ${to} stays as it is. Nothing was changed`
      if (!toStaying) {
        const ways = `the backup does not hold it, so put these rows in there first, or ${ofReset ? `preserve ${from}` : `leave ${from} out`}`
        return new (ofReset ? PreservationConflict : ParentsMissing)(`${what}; ${ways}`, { cause })
      }
      return ofReset
        ? new PreservationConflict(`${what}; preserve ${from}, too, or do not preserve ${to}`, { cause })
        : new ParentsMissing(`${what}; say "includeParents", or name ${to} in "tables" as well`, { cause })
    }
  }
  if (some(referencing, stays) && some(referenced, back)) {
    return (rows, cause) => {
      const what = `${amount(rows)} of ${from}, which stays as it is, ${agreeing(rows ?? 2, 'refers', 'refer')} to rows of ${to} (${name}) that the backup does not hold. Nothing was changed`
      const ways = ofReset
        ? `preserve ${to}, too, or do not preserve ${from}`
        : `name ${from} in "tables" as well, or leave ${to} out`
      return new PreservationConflict(`${what}; ${ways}`, { cause })
    }
  }
  return null
}
