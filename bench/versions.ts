import { cpus, totalmem } from 'node:os'
import { findServer } from '../local/cache/redis.ts'
import { programOf, versionOf } from './stores/programs.ts'
import type { Server } from './stores/server.ts'

/** Processors and memory; nothing that says whose machine it is. */
export function describeMachine(): string {
  const all = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  return `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}, ${gigabytes} GiB of memory, ${process.platform} ${process.arch}`
}

/** What was measured with, and beside what. */
export async function versionsOf({ version }: Server): Promise<string[]> {
  const programs = [programOf('pg_dump'), programOf('rclone'), findServer()].filter(
    (one) => one !== undefined,
  )
  const told = await Promise.all(
    programs.map((program) => versionOf(program, program.endsWith('rclone') ? 'version' : '--version')),
  )
  return [
    `PostgreSQL ${version}`,
    ...told.map((text) => text.replace(/ sha=.*/, '')),
    `Node.js ${process.version}`,
  ]
}
