import { backup } from './backup.ts'
import { cache } from './cache.ts'
import { exported } from './export.ts'
import { files } from './files.ts'
import { imported } from './import.ts'
import { nights } from './nights.ts'
import { options } from './options.ts'
import { reset } from './reset.ts'
import { restore } from './restore.ts'
import { start } from './start.ts'
import type { Subject } from './subject.ts'
import { verify } from './verify.ts'
import { wipe } from './wipe.ts'

/** In the order in which they are measured and told. */
export const subjects: readonly Subject[] = [
  exported,
  backup,
  nights,
  verify,
  restore,
  wipe,
  files,
  cache,
  options,
  reset,
  imported,
  start,
]
