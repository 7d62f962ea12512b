import { constants, createReadStream } from 'node:fs'
import { lstat, open, readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { bounded } from '../../../lib/backup/part/read.ts'
import { BackupDamaged, InvalidRequest } from '../../../lib/errors.ts'
import { Note, noteName } from '../download/folder.ts'

/** What lies in a folder that is to be uploaded is not what the download wrote there. */
export function changed(path: string, problem: string, options?: ErrorOptions): BackupDamaged {
  return new BackupDamaged(
    `${path} in the folder is not what the download wrote: ${problem}. Nothing became a backup; download it once more`,
    options,
  )
}

/** What is read of a text at once: the bytes of a note. */
const noteBytes = 64 * 2 ** 10

/**
 * The folder of a download, of which anybody may have changed anything since. Only plain files are read, and only below the folder:
 * no link, on no level.
 */
export class OpenedFolder {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /** @throws InvalidRequest for a folder that no download has filled */
  static async open(path: string): Promise<OpenedFolder> {
    const real = await realpath(path).catch((cause: Error) => {
      throw new InvalidRequest(`The folder ${path} cannot be read: ${cause.message}`, { cause })
    })
    const folder = new OpenedFolder(real)
    const note = Note.safeParse(await folder.#note()).data
    const refused = (what: string) => new InvalidRequest(`The folder ${path} ${what}. Nothing was written`)
    if (note === undefined) throw refused(`was not made by download: it has no ${noteName} of one`)
    if (note.format !== 'files')
      throw refused('holds one JSON document, which no backup can be made of: download with --format files')
    if (!note.complete) throw refused('holds a download that was not finished: run download again first')
    return folder
  }

  async #note(): Promise<unknown> {
    try {
      return JSON.parse(await this.text(noteName, noteBytes))
    } catch {
      return undefined // whatever is wrong with it, it is none
    }
  }

  /** The names in the folder itself. */
  names(): Promise<string[]> {
    return readdir(this.path)
  }

  /** @throws BackupDamaged when it is missing, or no plain file of this folder */
  async sizeOf(path: string): Promise<number> {
    const { handle, size } = await this.#open(path)
    await handle.close()
    return size
  }

  /** A whole file as text. @throws BackupDamaged when it is larger than `most` */
  async text(path: string, most: number): Promise<string> {
    const { handle, size } = await this.#open(path)
    try {
      if (size > most) throw changed(path, `it has ${size} bytes, and ${most} are the most`)
      return (await handle.readFile()).toString('utf8')
    } finally {
      await handle.close()
    }
  }

  /** The bytes of a file, or of a stretch of it, up to `to` (exclusive). @throws BackupDamaged */
  async *chunks(path: string, { from = 0, to }: { from?: number; to?: number } = {}): AsyncGenerator<Buffer> {
    if (to !== undefined && to <= from) return
    const { handle } = await this.#open(path)
    const end = to === undefined ? {} : { end: to - 1 }
    yield* createReadStream('', { fd: handle, start: from, ...end, highWaterMark: 2 ** 18 })
  }

  /** The lines of a file, without their ends. @throws BackupDamaged for one longer than `longest`, or a last one that does not end */
  async *lines(path: string, longest: number): AsyncGenerator<{ text: Buffer; number: number }> {
    let [rest, number]: [Buffer[], number] = [[], 0]
    for await (const chunk of this.#bounded(path, longest)) {
      let start = 0
      for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
        const line = chunk.subarray(start, end)
        yield { text: rest.length === 0 ? line : Buffer.concat([...rest, line]), number: ++number }
        rest = []
        start = end + 1
      }
      if (start < chunk.length) rest.push(chunk.subarray(start))
    }
    if (rest.length > 0) throw changed(path, 'its last line does not end')
  }

  async *#bounded(path: string, longest: number): AsyncGenerator<Buffer> {
    try {
      yield* bounded(this.chunks(path), { plain: Number.POSITIVE_INFINITY, longest })
    } catch (cause) {
      if (cause instanceof Error && cause.name === 'TooMuch') throw changed(path, cause.message, { cause })
      throw cause
    }
  }

  /** Opened first and looked at then, so that what was looked at is what is read. A pipe is not waited for. */
  async #open(path: string) {
    const whole = join(this.path, path)
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
    const handle = await open(whole, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((cause: Error) => {
      throw changed(path, `it cannot be read (${cause.message})`, { cause })
    })
    try {
      const [opened, named] = [await handle.stat(), await lstat(whole)]
      const isSame = opened.ino === named.ino && opened.dev === named.dev
      const isInside = whole.startsWith(`${this.path}${sep}`) && (await realpath(whole)) === whole
      if (!opened.isFile() || !isSame || !isInside) throw changed(path, 'it is no plain file of this folder')
      return { handle, size: opened.size }
    } catch (error) {
      await handle.close()
      throw error
    }
  }
}
