import type { Options } from '../../lib/http/answers/options.ts'
import type { Target } from '../../lib/store.ts'
import type { ToldStores } from '../../lib/stores/words.ts'

/** What of one thing goes with a reset of its store, and what stays. Counts of rows, files or keys. */
export type Share = { goes: number; stays: number; estimated: boolean }

/** A store as it was counted. */
export type CountedStore = { [T in Target]: Extract<Options[T], { available: true }> }

/** What the page says and shows of a store, besides what lib/stores/words.ts says everywhere. */
export type PageStore<T extends Target> = {
  /** What is about it alone has this title. */
  title: string
  /** In a sentence. */
  name: string
  /** @param isAbridged the answer does not hold all of it */
  share(found: CountedStore[T], isAbridged: boolean): Share
  /** What a reset of it leaves of it, part by part. */
  stays(found: CountedStore[T]): string[]
  /** Where what is told in one line lies. Absent: its parts are told. */
  place?(found: CountedStore[T]): { address: string } | { says: string }
  /** How large that is. Absent: nobody knows. */
  size?(found: CountedStore[T]): string
  /** How its backup is proved. */
  proof: string
  /** What becomes of what is written to it while the reset runs. */
  meanwhile: string
  /** How its part of a backup was found again, where that was not written by us. Absent: it was, and read back. */
  foundAgain?: string
  /** How much of it a run is about. Absent: as everywhere. */
  amount?(counts: ToldStores[T]['amount']): string
}
