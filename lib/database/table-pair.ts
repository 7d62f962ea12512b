import type { BackedUpTable } from '../backup/sections/database.ts'
import type { Table } from './catalog/table.ts'

/** A table of a backup, and the live one. */
export type TablePair = { table: BackedUpTable; live: Table }
