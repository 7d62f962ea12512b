import { prose, randomOf } from './words.ts'

/** At scale 1. */
const files = 5_000

export const filesAt = (scale: number) => Math.max(1, Math.round(files * scale))

export const storyKey = (number: number) => `session-${(number + 1) * 12}.md`

/** A text of about 3 KB, of the number alone. */
export function story(number: number): string {
  const random = randomOf(1_000 + number)
  const paragraphs = Array.from({ length: 6 }, () => prose(random, 60 + Math.floor(random() * 60)))
  return `# Story ${(number + 1) * 12}\n\n${paragraphs.join('\n\n')}\n`
}
