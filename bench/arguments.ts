import { parseArgs } from 'node:util'

export type Arguments = {
  scales: number[]
  rounds: number
  only: string[]
  /** A folder of built functions, in place of those that are built first. */
  dist: string | undefined
  /** Where the document and its pictures go; undefined: they are printed alone. */
  out: string | undefined
  json: boolean
  help: boolean
}

export class WrongUsage extends Error {
  override readonly name = 'WrongUsage'
}

const options = {
  scale: { type: 'string', default: '1' },
  rounds: { type: 'string', default: '5' },
  only: { type: 'string', default: '' },
  dist: { type: 'string' },
  out: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** @throws WrongUsage */
export function parseArguments(argv: string[], subjects: readonly string[]): Arguments {
  const { scale, rounds, only, dist, out, json, help } = parsed(argv)
  const chosen = only.split(',').filter((one) => one !== '')
  const unknown = chosen.filter((one) => !subjects.includes(one))
  if (unknown.length > 0)
    throw new WrongUsage(`There is no subject ${unknown.join(', ')}, only ${subjects.join(', ')}`)
  const scales = [...new Set(scale.split(',').map((one) => positive('--scale', one)))].sort((a, b) => a - b)
  return {
    scales,
    rounds: positive('--rounds', rounds, true),
    only: chosen,
    dist,
    out: out ?? (chosen.length === 0 ? 'bench' : undefined),
    json,
    help,
  }
}

function parsed(argv: string[]) {
  try {
    return parseArgs({ args: argv, options }).values
  } catch (error) {
    throw new WrongUsage(error instanceof Error ? error.message : String(error))
  }
}

function positive(flag: string, text: string, whole = false): number {
  const value = Number(text)
  if (value > 0 && value <= 100 && (!whole || Number.isInteger(value))) return value
  throw new WrongUsage(
    `${flag} has to be a ${whole ? 'whole ' : ''}number above 0 and up to 100, not "${text}"`,
  )
}

export function help(subjects: Readonly<Record<string, readonly string[]>>): string {
  const list = Object.entries(subjects).map(
    ([name, rows]) => `  ${name.padEnd(10)}${rows.join('\n            ')}`,
  )
  return `Measures this product beside the tools that one would use without it, on the same data, in turns.

npm run bench -- [--scale 0.1] [--rounds 5] [--only export] [--dist <folder>] [--out <folder>] [--json]

  --scale   how much data: 1 is 1,500,000 rows (760 MB), 5,000 files and 100,000 keys.
            Several, as 0.1,1,10, are measured one after the other, and drawn as they grow
  --rounds  how often each is measured; fewer than five are for a look, and said so in what is written
  --only    these subjects alone, as export,backup; nothing is then written unless --out says where
  --dist    built functions of another state of the project, measured in place of this one's
  --out     where RESULTS.md and its pictures are written; bench when all is measured
  --json    all figures, each round's too, on stdout

Subjects:
${list.join('\n')}

It needs a PostgreSQL server of the system's with its pg_dump, and a Redis, starts all services itself, and leaves nothing running. It
fails only when it cannot measure: no time is judged.
`
}
