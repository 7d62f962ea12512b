import { mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning } from '../processes/sweep.ts'

type Fetch = {
  /** The folder it is kept in. */
  cache: string
  /** Milliseconds since 1970: until when others are waited for. */
  deadline: number
  /** Whether the folder holds what is wanted. */
  holds: () => Promise<boolean>
  /** Puts it into a folder that is not there yet. */
  fetch: (folder: string) => Promise<void>
}

/** One process fetches, others that start meanwhile wait for it. What it leaves is whole, or not there. */
export async function fetchOnce({ cache, deadline, holds, fetch }: Fetch): Promise<void> {
  await mkdir(dirname(cache), { recursive: true })
  const unlock = await lock(`${cache}.lock`, deadline)
  try {
    if (await holds()) return
    const draft = `${cache}.draft`
    await rm(draft, { recursive: true, force: true })
    await rm(cache, { recursive: true, force: true })
    try {
      await fetch(draft)
      await rename(draft, cache)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  } finally {
    await unlock()
  }
}

/** Waits until nobody alive holds the lock. @returns what gives it back */
async function lock(file: string, deadline: number): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' })
      return () => unlink(file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => ''))
    // Empty for the moment between its making and its writing.
    if (holder > 0 && !isRunning(holder)) await rm(file, { force: true })
    else if (Date.now() >= deadline)
      throw new Error(`another process (${holder}) has been at it for too long; if none is, remove ${file}`)
    else await sleep(100)
  }
}
