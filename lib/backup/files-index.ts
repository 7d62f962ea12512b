import { CopiedFile } from '../files/pieces.ts'
import type { Plan } from '../run/work.ts'
import { workKeys } from './layout.ts'
import { type Written, writePart } from './part.ts'
import { getJsonLines, type Storage } from './storage.ts'

/**
 * Writes the backup's list of files, one JSON line per object as it was copied, from the lists of the copying steps.
 * @returns where it lies (null without objects) and how many objects it names
 */
export async function writeFilesIndex(
  storage: Storage,
  plan: Plan,
  key: string,
): Promise<{ index: Written | null; objects: number }> {
  const keys = workKeys(plan)
  let objects = 0
  async function* lines(): AsyncGenerator<Buffer> {
    objects = 0
    for (let list = 0; list < (plan.files?.lists ?? 0); list++) {
      const copied = await getJsonLines(storage, keys.filesCopied(list), CopiedFile)
      objects += copied.length
      if (copied.length > 0) yield Buffer.from(copied.map((file) => `${JSON.stringify(file)}\n`).join(''))
    }
  }
  const index = await writePart(
    storage,
    (copy) => (copy === 1 ? key : key.replace('.jsonl', `.${copy}.jsonl`)),
    lines,
  )
  return { index, objects }
}
