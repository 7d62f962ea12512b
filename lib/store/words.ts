import type { SealedBackup } from '../backup/sealed-backup.ts'
import type { Selection } from './selection.ts'

/** What a table or a store holds now, and what it holds after a restore. */
export type Change = { what: string; now: string; after: string }

/** What a table or a store holds now, and what would happen to it. */
export type WouldLine = { what: string; holds: string; would: string }

/** What a table or a store held in a backup and holds now, and what a restore would do about it. */
export type DifferenceLine = { what: string; before: string; now: string; restore: string }

/** A store as it was counted, or why it was not. */
export type Asked<Found> = ({ available: true } & Found) | { available: false; reason: { name: string } }

/** The fields of a listed backup that say how much it holds of one store; null there: it leaves the store out. */
export type Total = {
  [Field in keyof SealedBackup]-?: [number, null] extends [SealedBackup[Field] & number, SealedBackup[Field]]
    ? Field
    : never
}[keyof SealedBackup]

/** What the sentences about a store are about. */
type Told = {
  /** How much there is; what is counted, held, wiped or restored has it, and maybe more. */
  amount: object
  /** What of it could be reset. */
  found: object
  /** Its section of the manifest. */
  held: object
  /** What a dry run tells of it. */
  would: object
  /** What became of it since a backup. */
  difference: object
  /** Of what a dry run of a restore tells: how much of it the backup holds. */
  back: object
}

/**
 * How much there is of a store, and what becomes of it, in words: the messages, the command line and the page ask this.
 * The page carries it, so that it knows types and sentences, and nothing of how a store is reached.
 */
export type Words<T extends Told> = {
  /** One of what it holds. */
  unit: string
  /** The same beside those of other stores. */
  named: string
  /** Which field of a listed backup has how many it holds. */
  total: Total
  count(of: T['amount'] | T['held']): number
  /** Of what was left alone. */
  nothing: T['amount']
  /** The state of the machine in which it is backed up. */
  backedUpIn: string
  /** It is wiped and restored in batches, by states that the machine also passes when there is nothing for them to do. */
  isChangedInBatches?: true
  /**
   * Of what is not as it was in a backup; empty: all of it is.
   * @param restore which one is told of
   */
  differs(difference: T['difference'], restore: { exact: boolean }): DifferenceLine[]
  /** The same of what became of it. Absent: there is no more to say. */
  outcome?(counts: T['amount']): string
  /** What there is to say of the backup that a run made, beside how much of it was wiped or put back; null, absent: nothing. */
  ofBackup?(counts: T['amount']): string | null
  /**
   * What a restore means where all that is there goes or is changed back. Absent: what the backup holds takes the place of
   * what has the same name, and others stay or, when the restore is exact, are removed.
   * @param preserves whether a reset would leave something of it
   */
  replaced?(preserves: boolean): string
  /** How it comes into a backup without passing through our hands. Absent: it is written, and read back. */
  copied?: string
} & (Whole<T> | InParts<T>)

/** It is told in one line. */
type Whole<T extends Told> = {
  parts?: never
  /** `12 files, 47.1 KiB` */
  amount(of: T['amount'] | T['found'] | T['held'] | T['would']): string
  /** How much of it a reset leaves. */
  kept(of: T['found'] | T['would']): T['amount']
  /** How many a restore puts back. */
  back(restores: T['back']): number
}

/** Each of its parts has a line. */
type InParts<T extends Told> = {
  amount(of: T['amount']): string
  parts: {
    /** @param selection what of the backup is put back */
    changes(found: Asked<T['found']>, held: T['held'], selection: Selection): Change[]
    would(would: T['would']): WouldLine[]
  }
}
