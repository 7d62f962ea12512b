import { access, constants, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../lib/errors.ts'
import { provideRedis } from '../local/cache/provide-redis.ts'
import { type Arguments, help, parseArguments, WrongUsage } from './arguments.ts'
import { buildBundles, sizesOf } from './bundles.ts'
import { markdownOf } from './figures/markdown.ts'
import { drawGrowth, drawRatios } from './figures/pictures.ts'
import type { Results } from './figures/results.ts'
import { measureAll } from './measure.ts'
import { endCommands } from './peers/command.ts'
import { startServer } from './stores/server.ts'
import { subjects } from './subjects/all.ts'
import { describeMachine, versionsOf } from './versions.ts'
import { openWorld, type World } from './world.ts'

/** `npm run bench`: what help() says. */

const ends: (() => Promise<unknown>)[] = []
let ending: Promise<void> | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(130))
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => void crash(error))
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

async function bench({ scales, rounds, only, dist, out, json }: Arguments): Promise<void> {
  if (out !== undefined) await checkWritable(out)
  const folder = await mkdtemp(join(tmpdir(), 'taskmaster-bench-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  await provideRedis({ fetch: true, note: tell })
  tell('Starting a PostgreSQL, and building the functions')
  const server = await startServer((error) => void crash(error))
  ends.push(server.stop)
  const bundles = await buildBundles(dist, join(folder, 'dist'))
  const chosen = subjects.filter(({ name }) => only.length === 0 || only.includes(name))
  const loads: number[] = []
  const results: Results = {
    date: new Date().toISOString(),
    rounds,
    machine: describeMachine(),
    load: 0,
    versions: await versionsOf(server),
    scales: [],
    bundles: await sizesOf(bundles),
  }
  for (const [index, scale] of scales.entries()) {
    const world = await open(`taskmaster_${index}`, scale)
    let small: Promise<World> | undefined
    const tenth = () => (small ??= open(`tenth_${index}`, scale / 10))
    const measured = await measureAll(chosen, { world, tenth, folder, ...bundles }, rounds, (text) => {
      loads.push(loadavg()[0] ?? 0)
      tell(text)
    })
    results.scales.push({ scale, size: world.size, ...measured })
    await world.stop()
    await (await small)?.stop()
  }
  results.load = loads.reduce((sum, load) => sum + load, 0) / loads.length
  try {
    if (out !== undefined) await writeResults(results, out)
  } finally {
    process.stdout.write(json ? `${JSON.stringify(results, null, 2)}\n` : `\n${markdownOf(results)}`)
  }

  async function open(name: string, scale: number): Promise<World> {
    tell(`Filling the stores at scale ${scale}`)
    const world = await openWorld(server, { name, scale, bundleOf: bundles.bundleOf })
    ends.push(world.stop)
    return world
  }
}

/** Before all else, for what is measured in an hour is not to be lost for want of a folder. */
async function checkWritable(out: string): Promise<void> {
  try {
    await mkdir(out, { recursive: true })
    await access(out, constants.W_OK)
  } catch (cause) {
    throw new WrongUsage(`Nothing can be written to ${out} (--out): ${messageOf(cause)}`)
  }
}

async function writeResults(results: Results, out: string): Promise<void> {
  const largest = results.scales.at(-1)
  const pictures: Record<string, [shows: string, drawing: string]> = {
    ...(largest && { 'ratios.svg': ['The ratios, and the target of each', drawRatios(largest)] }),
    ...(results.scales.length > 1 && { 'growth.svg': ['Seconds by scale', drawGrowth(results.scales)] }),
  }
  for (const [file, [, drawing]] of Object.entries(pictures)) await writeFile(join(out, file), drawing)
  const shown = Object.entries(pictures).map(([file, [shows]]) => [file, shows])
  await writeFile(join(out, 'RESULTS.md'), markdownOf(results, Object.fromEntries(shown)))
  tell(`Written to ${join(out, 'RESULTS.md')}`)
}

function tell(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(1).padStart(7)} s  ${text}\n`)
}

async function crash(error: unknown): Promise<void> {
  if (ending === undefined) process.stderr.write(`${messageOf(error)}\n`)
  await end(1)
}

/** Once, whoever asks first; what was started last ends first. */
function end(code: number): Promise<void> {
  ending ??= (async () => {
    for (const one of [endCommands, ...ends.splice(0).reverse()]) {
      await one().catch((error: unknown) => {
        process.stderr.write(`${messageOf(error)}\n`)
        code ||= 1
      })
    }
    process.exit(code)
  })()
  return ending
}
