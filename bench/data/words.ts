/** Numbers from 0 to below 1 that follow from the seed alone: xorshift, 32 bits. */
export function randomOf(seed: number): () => number {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bf03635) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

const onsets = 'b br c ch d dr f fl g gr h j k l m n p pr qu r s sh st t th tr v w y z'.split(' ')
const vowels = 'a e i o u ai ea ee ou ä é'.split(' ')
const codas = ['', '', '', 'n', 'r', 's', 't', 'l', 'm', 'nd', 'rk', 'st']
const vocabularySize = 6_000

/** Words that can be spoken, of one to three syllables; the short ones, which come first, are the frequent ones. */
function makeVocabulary(): string[] {
  const random = randomOf(7)
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)] ?? ''
  const words = new Set<string>()
  while (words.size < vocabularySize) {
    const syllables = 1 + Math.floor((3 * words.size) / vocabularySize)
    words.add(Array.from({ length: syllables }, () => pick(onsets) + pick(vowels) + pick(codas)).join(''))
  }
  return [...words]
}

const vocabulary = makeVocabulary()

/** A word, the frequent ones more often, as in a language. */
export function word(random: () => number): string {
  return vocabulary[Math.floor(random() ** 5 * vocabularySize)] ?? ''
}

/** A text of so many words: sentences, speech in quotes, and a line break here and there. */
export function prose(random: () => number, words: number): string {
  let text = ''
  for (let left = words; left > 0; ) {
    const length = Math.min(left, 5 + Math.floor(random() * 14))
    left -= length
    const first = word(random)
    let sentence = first.charAt(0).toUpperCase() + first.slice(1)
    for (let index = 1; index < length; index++) sentence += ` ${word(random)}`
    const chance = random()
    if (chance < 0.1) text += `"${sentence}!" `
    else if (chance < 0.15) text += `${sentence}.\n`
    else text += `${sentence}. `
  }
  return text.trimEnd()
}
