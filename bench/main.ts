import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../lib/errors.ts'
import { help, parseArguments, WrongUsage } from './arguments.ts'
import { buildBundles } from './bundles.ts'
import type { Results } from './figures/results.ts'
import { measureAll } from './measure.ts'
import { type Server, startServer } from './stores/server.ts'
import { subjects } from './subjects/all.ts'
import { describeMachine, versionsOf } from './versions.ts'
import { openWorld, type World } from './world.ts'

/** `npm run bench`: what help() says. */

const ends: (() => Promise<unknown>)[] = []
let ending: Promise<void> | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(130))
try {
  const wanted = parseArguments(
    process.argv.slice(2),
    subjects.map(({ name }) => name),
  )
  if (wanted.help)
    process.stdout.write(
      help(Object.fromEntries(subjects.map(({ name, rows }) => [name, Object.values(rows)]))),
    )
  else await bench(wanted)
  await end(0)
} catch (error) {
  if (ending === undefined) process.stderr.write(`${messageOf(error)}\n`)
  await end(error instanceof WrongUsage ? 2 : 1)
}

async function bench({ scales, rounds, only, dist, json }: ReturnType<typeof parseArguments>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'taskmaster-bench-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  const server = await startServer((error) => void crash(error))
  ends.push(server.stop)
  tell(`Building the functions`)
  const bundleOf = await buildBundles(dist)
  const chosen = subjects.filter(({ name }) => only.length === 0 || only.includes(name))
  const results: Results = {
    date: new Date().toISOString(),
    rounds,
    machine: describeMachine(),
    versions: await versionsOf(server),
    scales: [],
    bundles: [],
  }
  for (const [index, scale] of scales.entries()) {
    const world = await open(server, `taskmaster_${index}`, scale)
    let small: Promise<World> | undefined
    const tenth = () => (small ??= open(server, `tenth_${index}`, scale / 10))
    const measured = await measureAll(chosen, { world, tenth, folder, bundleOf }, rounds, tell)
    results.scales.push({ scale, size: world.size, ...measured })
    await world.stop()
    await (await small)?.stop()
  }
  if (json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)

  async function open(server: Server, name: string, scale: number): Promise<World> {
    tell(`Filling the stores at scale ${scale}`)
    const world = await openWorld(server, { name, scale, bundleOf })
    ends.push(world.stop)
    return world
  }
}

function tell(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(1).padStart(7)} s  ${text}\n`)
}

async function crash(error: Error): Promise<void> {
  if (ending === undefined) process.stderr.write(`${messageOf(error)}\n`)
  await end(1)
}

/** Once, whoever asks first; what was started last ends first. */
function end(code: number): Promise<void> {
  ending ??= (async () => {
    for (const one of ends.splice(0).reverse()) {
      await one().catch((error: unknown) => {
        process.stderr.write(`${messageOf(error)}\n`)
        code ||= 1
      })
    }
    process.exit(code)
  })()
  return ending
}
