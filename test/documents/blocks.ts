import { readFileSync } from 'node:fs'

/** A fenced block of a document. */
export type Block = {
  /** The first word behind the fence. */
  language: string
  /** What else stands behind the fence: nobody sees it who reads the document, it says how the block is tried. */
  note: string
  text: string
  line: number
}

/** What a block's note says when it is not run, before the reason. */
export const notRun = /^not run: \S/

const root = new URL('../../', import.meta.url)

export function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8')
}

/** The fenced blocks of a document, in order. */
export function blocksOf(path: string): Block[] {
  const document = read(path)
  return [...document.matchAll(/^```([\w-]*) *(.*)\n((?:(?!```).*\n)*)```$/gm)].map((match) => {
    const [, language = '', note = '', text = ''] = match
    return { language, note, text, line: document.slice(0, match.index).split('\n').length }
  })
}

/** The commands that a document has a shell carry out, and that are carried out when it is tried. */
export function commandsOf(path: string): Block[] {
  return blocksOf(path).filter(({ language, note }) => language === 'sh' && !notRun.test(note))
}

/** What stands printed below a block of commands. @throws when nothing does */
export function printedBelow(path: string, command: Block): string {
  const blocks = blocksOf(path)
  const next = blocks[blocks.findIndex(({ line }) => line === command.line) + 1]
  if (next?.language !== 'text') throw new Error(`${path}:${command.line} shows nothing that is printed`)
  return next.text
}
