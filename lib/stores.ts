import { cacheMark } from './cache/mark.ts'
import { databaseMark } from './database/mark.ts'
import { filesMark } from './files/mark.ts'
import type { Mark, Target } from './store.ts'

// What each store answers to what a run asks of all of them. A function that asks one question carries only the modules
// that answer it, since each list stands by itself.

export const marks: Record<Target, Mark> = { database: databaseMark, files: filesMark, cache: cacheMark }
