import type { Manifest } from './manifest.ts'

/** One object of a backup as its manifest names it: how many rows, files or keys it holds, with its size and SHA-256. */
export type NamedObject = {
  section: 'database' | 'files' | 'cache'
  key: string
  bytes: number
  sha256: string
  count: number
  plain?: number | undefined
  longest?: number | undefined
}

/**
 * Every object that the sections of a manifest name, in the order of the stores. Copies of files are named by the index of
 * the files alone, which may hold millions.
 */
export function namedObjects({
  database,
  files,
  cache,
}: Pick<Manifest, 'database' | 'files' | 'cache'>): NamedObject[] {
  const named: NamedObject[] = []
  for (const { key, sha256, rows, ...part } of (database?.tables ?? []).flatMap(({ parts }) => parts)) {
    if (key === null || sha256 === null) continue // a range of pages without rows
    const { bytes, plain, longest } = part
    named.push({ section: 'database', key, sha256, count: rows, bytes, plain, longest })
  }
  if (files?.index) named.push({ section: 'files', count: files.objects, ...files.index })
  for (const { keys, ...part } of cache?.parts ?? []) named.push({ section: 'cache', count: keys, ...part })
  return named
}
