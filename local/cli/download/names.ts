import { createHash } from 'node:crypto'

/** Bytes of a segment that any file system takes, and how much is left of a longer one, before its digest. */
const [longest, cutTo] = [200, 150]

/**
 * Gives each key of a backup a path of its own below a folder: what a file system would read otherwise is percent-encoded, by
 * segments. The same keys in the same order give the same paths. Memory: the paths.
 *
 * A `%` that no two digits follow is never that of a byte: alone it stands for an empty segment, behind a folder's name it keeps
 * that apart from a file's, and `%~` begins the digest of a name that was too long.
 * @see docs/decisions.md#a-download-is-a-folder-that-any-file-system-takes
 */
export class PathNames {
  readonly #files = new Set<string>()
  readonly #folders = new Set<string>()

  /** The path of a key, by its segments; never one that leaves the folder, or that another key has. */
  pathOf(...segments: readonly string[]): string {
    const path = segments.map(encoded).join('/')
    if (this.#isFree(path)) return this.#take(path)
    const wholly = segments.map((segment) => cut(segment, allEncoded(segment)))
    return this.#take(wholly.map((name, at) => (at < wholly.length - 1 ? `${name}%` : name)).join('/'))
  }

  /** Also on a disk that takes names that differ in their case for one. */
  #isFree(path: string): boolean {
    const file = path.toLowerCase()
    const isTaken = this.#files.has(file) || this.#folders.has(file)
    return !isTaken && foldersOf(file).every((folder) => !this.#files.has(folder))
  }

  #take(path: string): string {
    const file = path.toLowerCase()
    this.#files.add(file)
    for (const folder of foldersOf(file)) this.#folders.add(folder)
    return path
  }
}

function foldersOf(path: string): string[] {
  const segments = path.split('/')
  return segments.slice(1).map((_, at) => segments.slice(0, at + 1).join('/'))
}

/** What Windows takes for a device, whatever follows the dot. */
const device = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

function encoded(segment: string): string {
  if (segment === '') return '%'
  const isOdd = (character: string, at: number, last: number) =>
    !/[A-Za-z0-9._ ()@+=,~-]/.test(character) ||
    (/[. ]/.test(character) && at === last) ||
    (character === ' ' && at === 0) ||
    (at === 0 && device.test(segment))
  const characters = Array.from(segment)
  const isOnlyDots = /^\.+$/.test(segment)
  const names = characters.map((character, at) =>
    isOnlyDots || isOdd(character, at, characters.length - 1) ? allEncoded(character) : character,
  )
  return cut(segment, names.join(''))
}

function allEncoded(text: string): string {
  if (text === '') return '%'
  return Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(
    '',
  )
}

function cut(segment: string, name: string): string {
  if (name.length <= longest) return name
  return `${name.slice(0, cutTo)}%~${createHash('sha256').update(segment).digest('hex').slice(0, 32)}`
}
