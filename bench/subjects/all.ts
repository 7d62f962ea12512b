import { backup } from './backup.ts'
import { exported } from './export.ts'
import type { Subject } from './subject.ts'

/** In the order in which they are measured and told. */
export const subjects: readonly Subject[] = [exported, backup]
