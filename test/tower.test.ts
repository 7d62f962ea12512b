import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../', import.meta.url))

/**
 * The rooms of lib from the ground up: a folder, or a file, or a file with a folder of the same name. Those that share a
 * line stand beside each other and do not know each other. docs/architecture.md draws it.
 */
const tower = [
  ['amounts', 'postgres-message', 'version', 'visible'],
  ['errors'],
  ['config', 'log', 'signature'],
  ['operations', 'refresh'],
  ['postgres', 'redis', 's3', 'web'],
  ['clients'],
  ['executions'],
  ['ledger'],
  ['backup'],
  ['store'],
  ['cache', 'database', 'files'],
  ['stores'],
  ['run'],
  ['task'],
  ['http'],
]

type Import = { from: string; to: string }

const files = globSync('lib/**/*.ts', { cwd: root }).map((file) => file.replaceAll('\\', '/'))
const text = (file: string) => readFileSync(join(root, file), 'utf8')
/** Types count: who changes one changes what imports it. */
const statements =
  /^(?:import|export)\b[^'"]*?\sfrom\s+['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]|^import\s+['"](\.[^'"]+)['"]/gm
const imports: Import[] = files.flatMap((from) =>
  [...text(from).matchAll(statements)]
    .map((found) => found[1] ?? found[2] ?? found[3] ?? '')
    .map((name) => ({ from, to: join(dirname(from), name).replaceAll('\\', '/') }))
    .filter(({ to }) => to !== 'package.json'),
)
const roomOf = (file: string) => file.split('/')[1]?.replace(/\.ts$/, '') ?? ''
const floorOf = (file: string) => tower.findIndex((rooms) => rooms.includes(roomOf(file)))
const told = ({ from, to }: Import) => `${from} imports ${to}`

/** Each set of names that reach each other, by what leads from one to another; of one name alone when it reaches itself. */
function circles(edges: readonly Import[]): string[][] {
  const next = Map.groupBy(edges, ({ from }) => from)
  const reachedFrom = (start: string) => {
    const reached = new Set<string>()
    const waiting = [start]
    for (const name of waiting) {
      for (const { to } of next.get(name) ?? []) {
        if (reached.has(to)) continue
        reached.add(to)
        waiting.push(to)
      }
    }
    return reached
  }
  const reached = new Map([...next.keys()].map((name) => [name, reachedFrom(name)]))
  const inCircle = [...reached].filter(([name, all]) => all.has(name)).map(([name]) => name)
  const together = (name: string) =>
    inCircle.filter((other) => reached.get(name)?.has(other) && reached.get(other)?.has(name)).sort()
  return [...new Map(inCircle.map((name) => [together(name).join(' '), together(name)])).values()]
}

describe('the tower', () => {
  it('has a floor for everything in lib, and nothing else', () => {
    expect([...new Set(files.map(roomOf))].sort()).toEqual(tower.flat().sort())
    expect(imports.length).toBeGreaterThan(files.length)
  })

  it('has no import that points up, or to the side: of types neither', () => {
    const inner = ({ from, to }: Import) => roomOf(from) === roomOf(to)
    const wrong = imports.filter((one) => !inner(one) && floorOf(one.to) >= floorOf(one.from))
    expect(wrong.map(told)).toEqual([])
  })

  it('has nothing of lib import what stands on it or beside it', () => {
    expect(imports.filter(({ to }) => !to.startsWith('lib/')).map(told)).toEqual([])
  })

  it('has no circle of files', () => {
    expect(circles(imports)).toEqual([])
  })

  it('has no circle of folders, where a file that lies directly in a room counts as one', () => {
    const node = (file: string) => file.split('/').slice(0, 3).join('/')
    const edges = imports.map(({ from, to }) => ({ from: node(from), to: node(to) }))
    expect(circles(edges.filter(({ from, to }) => from !== to))).toEqual([])
    expect(circles([...edges, { from: 'a', to: 'b' }, { from: 'b', to: 'a' }].slice(-2))).toEqual([
      ['a', 'b'],
    ])
  })

  it('has at most 14 files in a folder, of at most 220 lines, and half of them below 110', () => {
    const folders = Map.groupBy(files, dirname)
    expect([...folders].filter(([, inside]) => inside.length > 14).map(([folder]) => folder)).toEqual([])
    const lines = files.map((file) => ({ file, lines: text(file).split('\n').length - 1 }))
    expect(lines.filter((one) => one.lines > 220)).toEqual([])
    const sorted = lines.map((one) => one.lines).sort((a, b) => a - b)
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(110)
  })

  it('is what the linter keeps, room by room', () => {
    const { overrides } = JSON.parse(text('biome.json')) as { overrides: Override[] }
    const restricting = overrides.filter((one) => restrictionsOf(one) !== undefined)
    for (const [floor, rooms] of tower.entries()) {
      for (const room of rooms) {
        const mine = restricting.filter(
          ({ includes }) => includes.includes(`lib/${room}/**`) || includes.includes(`lib/${room}.ts`),
        )
        expect(mine, room).toHaveLength(1)
        const upper = [...rooms.filter((other) => other !== room), ...tower.slice(floor + 1).flat()]
        const [outside, above] = mine.flatMap((one) => restrictionsOf(one) ?? [])
        expect(outside?.group, room).toEqual(beside.map((folder) => `**/${folder}/**`))
        expect(above?.group ?? [], room).toEqual(upper.flatMap(patternsOf))
        expect(mine[0]?.includes, room).toEqual(patternsIn(room))
      }
    }
  })
})

type Restriction = { group: string[]; message: string }
type Override = {
  includes: string[]
  linter: { rules: { style?: { noRestrictedImports?: { options: { patterns: Restriction[] } } } } }
}
const restrictionsOf = (one: Override) => one.linter.rules.style?.noRestrictedImports?.options.patterns

/** What stands beside the tower or on it. */
const beside = ['bench', 'console', 'functions', 'local', 'scripts', 'test']

/** A room as a specifier names it, and as a path. */
const isFolder = (room: string) => files.some((file) => file.startsWith(`lib/${room}/`))
const isFile = (room: string) => files.includes(`lib/${room}.ts`)
const patternsOf = (room: string) => [
  ...(isFile(room) ? [`**/${room}.ts`] : []),
  ...(isFolder(room) ? [`**/${room}/**`] : []),
]
const patternsIn = (room: string) => [
  ...(isFile(room) ? [`lib/${room}.ts`] : []),
  ...(isFolder(room) ? [`lib/${room}/**`] : []),
]
