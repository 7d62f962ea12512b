import { describe, expect, test } from 'vitest'
import { speeds as ofCache } from '../../lib/cache/plan.ts'
import { speeds as ofDatabase } from '../../lib/database/plan/single-works.ts'
import { invocationMs, type Speed } from '../../lib/executions/invocation.ts'
import { speeds as ofFiles } from '../../lib/files/plan.ts'
import { evaluate } from './arithmetic.ts'
import { read } from './blocks.ts'

const document = read('docs/scale.md')
const rows = [...document.matchAll(/^\| (.+) \|$/gm)].map(([, cells = '']) =>
  cells.split('|').map((cell) => cell.trim()),
)
const given = rows.filter(([name = '', value = '']) => /^`\w+`$/.test(name) && /^[\d.,]+$/.test(value))
const names = Object.fromEntries([
  ...[...read('docs/operations.md').matchAll(/^\| `(\w+)` \| ([\d.]+) \| an? /gm)].map(([, name, value]) => [
    name,
    Number(value),
  ]),
  ...given.map(([name = '', value = '']) => [name.slice(1, -1), evaluate(value, {})]),
])

const speeds: Record<string, Speed> = {
  ...ofDatabase,
  ...ofFiles,
  ...Object.fromEntries(Object.entries(ofCache).map(([name, speed]) => [`${name}Keys`, speed])),
}

describe('docs/scale.md', () => {
  test('counts with the time that an invocation has', () => {
    expect(names.work).toBe(invocationMs / 1000)
  })

  const formulas = rows.filter(([, formula = '']) => /^`[^`]*[\d×+/][^`]*`$/.test(formula))
  test.each(formulas)('%s: %s is %s', (_what, formula = '', value = '') => {
    const decimals = value.split('.')[1]?.length ?? 0
    expect(value.replaceAll(',', '')).toBe(evaluate(formula.slice(1, -1), names).toFixed(decimals))
  })

  test('has a formula for most of what it says', () => expect(formulas.length).toBeGreaterThan(20))

  test.each(Object.entries(speeds))(
    'has the speed %s as Count goes by it, and how far it leads',
    (name, { slow, fast }) => {
      const row = rows.find(([first]) => first === `\`${name}\``)
      const [, of = '', saysSlow = '', saysFast = '', atSlow = '', atFast = '', measured = ''] = row ?? []
      expect([saysSlow, saysFast].map((cell) => evaluate(cell, {}))).toEqual([slow, fast])
      const inAll = (speed: number) => {
        const amount = speed * (invocationMs / 1000)
        if (of.startsWith('bytes')) return `${Math.round(amount / 1e9)} GB`
        return amount < 2e6
          ? evaluate(String(amount), {}).toLocaleString('en')
          : `${Math.round(amount / 1e6)} million`
      }
      expect([atSlow, atFast]).toEqual([slow, fast].map(inAll))
      expect(measured).not.toBe('')
    },
  )
})
