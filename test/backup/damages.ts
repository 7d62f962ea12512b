import type { Objects } from './real-backups.ts'

/** A damaged copy of a backup. The title says what was done to which object. */
export type Damage = {
  title: string
  /** Objects of which at least one must be named. Empty: any object of the backup. */
  names: string[]
  objects: Objects
  /** ETags that S3 still shows although the bytes are others. */
  etags?: Map<string, string>
  /** For an edited document: where, with `[]` for any index. */
  path?: string
}

/** Numbers that look random and are the same in every run: mulberry32. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below)
  }
}

/** A copy of the objects in which some have other bytes; null: the object is gone. */
export function changed(objects: Objects, changes: Record<string, Buffer | null>): Objects {
  const copy = new Map(objects)
  for (const [key, bytes] of Object.entries(changes)) {
    if (bytes === null) copy.delete(key)
    else copy.set(key, bytes)
  }
  return copy
}

export function flipBit(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return copy
}

// biome-ignore lint/suspicious/noExplicitAny: any JSON
type Json = any
type Path = (string | number)[]

/** Every value that is no object and no array, with its path. */
export function leavesOf(json: Json, path: Path = []): { path: Path; value: Json }[] {
  if (json === null || typeof json !== 'object') return [{ path, value: json }]
  return Object.entries(json).flatMap(([name, value]) =>
    leavesOf(value, [...path, Array.isArray(json) ? Number(name) : name]),
  )
}

/** Every array and object with its path, the outermost first. */
export function nodesOf(json: Json, path: Path = []): { path: Path; value: Json }[] {
  if (json === null || typeof json !== 'object') return []
  return [
    { path, value: json },
    ...Object.entries(json).flatMap(([name, value]) =>
      nodesOf(value, [...path, Array.isArray(json) ? Number(name) : name]),
    ),
  ]
}

/** A copy in which the value at the path is another. */
export function withValue(json: Json, path: Path, value: Json): Json {
  const copy = structuredClone(json)
  const [name, holder] = [path.at(-1) as string, holderOf(copy, path)]
  holder[name] = value
  return copy
}

/** A copy without what is at the path. */
export function without(json: Json, path: Path): Json {
  const copy = structuredClone(json)
  const [name, holder] = [path.at(-1) as string, holderOf(copy, path)]
  if (Array.isArray(holder)) holder.splice(Number(name), 1)
  else delete holder[name]
  return copy
}

/** Values of the same kind that a careless or random edit could leave in place of `value`. */
export function otherValues(value: Json, random: (below: number) => number): Json[] {
  if (typeof value === 'number') return [value + 1, value * 10 + 1, value === 0 ? null : 0, -1 - value]
  if (typeof value === 'boolean') return [!value]
  if (value === null) return [0, 'x', '2026-01-01T00:00:00.000Z']
  if (value === 'snapshot') return ['reconciled', '']
  if (/^\d{4}-.*Z$/.test(value)) return ['2026-01-01T00:00:00.000Z', '']
  if (/^-?\d+$/.test(value)) return [`${BigInt(value) + 1n}`, `-${value}`, '', '0x10']
  const at = random(value.length)
  const other = value.charAt(at) === 'a' ? 'b' : 'a'
  return [value.slice(0, at) + other + value.slice(at + 1), `${value}0`, value.slice(1), '']
}

export function nameOf(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? '[]' : `.${step}`))
    .join('')
    .slice(1)
}

function holderOf(json: Json, path: Path): Json {
  return path.slice(0, -1).reduce((holder, name) => holder[name], json)
}
