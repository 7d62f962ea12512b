import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { InvalidRequest } from '../../../lib/errors.ts'

/** What is told of a download in its folder, so that it is gone on with and nothing else. */
export const Note = z.strictObject({
  version: z.literal(1),
  backupId: z.string(),
  /** The digests of the documents that were read. */
  seen: z.unknown(),
  format: z.enum(['files', 'json']),
  complete: z.boolean(),
})
export type Note = z.output<typeof Note>

export const noteName = '.download.json'
const unfinished = '.unfinished'

/** For who made it alone: it holds rows. */
const [ofFolders, ofFiles] = [0o700, 0o600]

/**
 * The folder of a download. A file has its name once it is whole: until then it lies in a folder of its own, which a further try
 * clears. Nothing outside of the folder is written, whatever links lie in it.
 */
export class Folder {
  readonly path: string
  /** Folders below it that were looked at. */
  readonly #known = new Set<string>()

  private constructor(path: string) {
    this.path = path
  }

  /** @throws InvalidRequest for a folder that cannot be made or used, or that holds something else */
  static async open(path: string, note: Omit<Note, 'version' | 'complete'>): Promise<Folder> {
    const folder = new Folder(path)
    await makeFolder(path).catch((cause: Error) => {
      throw new InvalidRequest(`The folder ${path} cannot be made: ${cause.message}. Name another one`, {
        cause,
      })
    })
    const wanted = { version: 1, ...note, complete: false } as const
    const there = await readdir(path).catch(ofRights(path))
    if (there.length > 0 && !isSame(await noteIn(path), wanted))
      throw new InvalidRequest(
        `The folder ${path} is not empty, and what lies there is no download of the backup ${note.backupId} in this format. Nothing was written; name another folder, or an empty one`,
      )
    await rm(join(path, unfinished), { recursive: true, force: true }).catch(ofRights(path))
    await mkdir(join(path, unfinished), { mode: ofFolders }).catch(ofRights(path))
    if (there.length === 0) await folder.write(noteName, [JSON.stringify(wanted)])
    return folder
  }

  /** Whether an earlier try has written it. */
  async has(path: string, bytes?: number): Promise<boolean> {
    const found = await lstat(join(this.path, path)).catch(() => null)
    return found?.isFile() === true && (bytes === undefined || found.size === bytes)
  }

  /** Writes a file, and lets it be seen when all of it is there. @returns its bytes */
  async write(
    path: string,
    chunks: AsyncIterable<Buffer | string> | Iterable<Buffer | string>,
  ): Promise<number> {
    await this.#makeFolders(dirname(path))
    const part = join(this.path, unfinished, randomUUID()) // of two at work in one folder none is given the other's file
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
    const file = await open(part, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, ofFiles)
    let bytes = 0
    try {
      for await (const chunk of chunks) {
        const data = Buffer.from(chunk)
        bytes += data.length
        await file.writeFile(data)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, join(this.path, path))
    return bytes
  }

  /** Says that nothing is missing. */
  async end(note: Omit<Note, 'version' | 'complete'>): Promise<void> {
    await rm(join(this.path, unfinished), { recursive: true, force: true })
    await mkdir(join(this.path, unfinished), { mode: ofFolders })
    await this.write(noteName, [JSON.stringify({ version: 1, ...note, complete: true } satisfies Note)])
    await rm(join(this.path, unfinished), { recursive: true, force: true })
  }

  /** @throws InvalidRequest where something else lies in the place of a folder, as a link that leads elsewhere */
  async #makeFolders(path: string): Promise<void> {
    if (path === '.' || this.#known.has(path)) return
    await this.#makeFolders(dirname(path))
    const whole = join(this.path, path)
    await mkdir(whole, { mode: ofFolders }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    if (!(await lstat(whole)).isDirectory())
      throw new InvalidRequest(
        `${whole} is no folder, so nothing can be written below it. Name another folder`,
      )
    this.#known.add(path)
  }
}

/** With those above it. Node's own does not end where the system says of what cannot be made that there is none, as below /proc. */
async function makeFolder(path: string): Promise<void> {
  const make = async () => {
    try {
      await mkdir(path, { mode: ofFolders })
    } catch (error) {
      if (!(await stat(path).catch(() => null))?.isDirectory()) throw error
    }
  }
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await make()
  })
}

/** Of a folder that belongs to others, or lies on a disk that nobody may write: another one has to be named. */
function ofRights(path: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(cause.code ?? '')) throw cause
    throw new InvalidRequest(
      `The folder ${path} cannot be used: ${cause.message}. Nothing was written; name another folder`,
      { cause },
    )
  }
}

async function noteIn(path: string): Promise<Note | undefined> {
  try {
    return Note.parse(JSON.parse(await readFile(join(path, noteName), 'utf8')))
  } catch {
    return undefined
  }
}

function isSame(there: Note | undefined, wanted: Note): boolean {
  return JSON.stringify({ ...there, complete: false }) === JSON.stringify(wanted)
}
