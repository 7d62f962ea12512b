import { describe, expect, test } from 'vitest'
import { help, parseArguments, WrongUsage } from '../../bench/arguments.ts'

const parse = (...argv: string[]) => parseArguments(argv, ['export', 'backup'])

describe('the arguments of npm run bench', () => {
  test('without any, all is measured five times at scale 1, and written', () => {
    expect(parse()).toEqual({
      scales: [1],
      rounds: 5,
      only: [],
      dist: undefined,
      out: 'bench',
      json: false,
      help: false,
    })
  })

  test('several scales come in order, each once', () => {
    expect(parse('--scale', '10,0.1,1,1').scales).toEqual([0.1, 1, 10])
  })

  test('a part is not written in the place of the whole, unless it is said where', () => {
    expect(parse('--only', 'export,backup')).toMatchObject({ only: ['export', 'backup'], out: undefined })
    expect(parse('--only', 'export', '--out', 'there').out).toBe('there')
  })

  test.each([
    ['--scale', '0'],
    ['--scale', 'large'],
    ['--rounds', '2.5'],
    ['--rounds', '-1'],
    ['--only', 'exports'],
    ['--fast'],
  ])('%s %s is refused', (...argv) => {
    expect(() => parse(...argv)).toThrow(WrongUsage)
  })

  test('the help names every flag and every subject', () => {
    const text = help({ export: ['export of the database'], restore: ['restore', 'of it, locked'] })
    for (const flag of ['--scale', '--rounds', '--only', '--dist', '--out', '--json'])
      expect(text).toContain(flag)
    for (const words of ['export of the database', 'of it, locked']) expect(text).toContain(words)
  })
})
