import { GetExecutionHistoryCommand, SFNClient } from '@aws-sdk/client-sfn'
import { describe, expect, test } from 'vitest'
import { decideRetention } from '../../lib/backup/retention/retention.ts'
import { executionArn } from '../../local/machine/arn.ts'
import { useFronts } from '../e2e/fronts.ts'
import { fullReset, useResetStack, withVariables } from '../e2e/reset-stack.ts'
import { isFull } from '../support/trust.ts'
import { evaluate } from './arithmetic.ts'
import { read } from './blocks.ts'

const document = read('docs/operations.md')
const costs = document.slice(document.indexOf('\n## What it costs'))
const sizes = ['small', 'medium', 'large']
/** The lines of the tables: what stands in backticks first, and the other cells. */
const lines = [...costs.matchAll(/^\| `([^`]+)`([^|]*)\|(.*)\|$/gm)].map(([, name = '', , cells = '']) => ({
  name,
  cells: cells.split('|').map((cell) => cell.trim()),
}))
const prices = Object.fromEntries(
  lines
    .filter(({ cells }) => /\D{3}/.test(cells[1] ?? ''))
    .map(({ name, cells }) => [name, Number(cells[0])]),
)
const given = lines.filter(({ name }) => /^\w+$/.test(name) && !(name in prices) && !isFormula(name))
const formulas = [...costs.matchAll(/^(\w+) += (.+)$/gm)].map(([, name = '', text = '']) => ({ name, text }))

function isFormula(name: string): boolean {
  return new RegExp(`^${name} += `, 'm').test(costs)
}

/** Prices, the example's numbers, and what the formulas make of them. */
function namesOf(size: number): Record<string, number> {
  const names = { ...prices }
  for (const { name, cells } of given) names[name] = evaluate(cells[size] ?? '', {})
  for (const { name, text } of formulas) names[name] = evaluate(text, names)
  return names
}

describe('the costs in docs/operations.md', () => {
  test('have a price for each name, and a source', () => {
    expect(Object.keys(prices).length).toBe(9)
    for (const price of Object.values(prices)) expect(price).toBeGreaterThan(0)
    expect(formulas.length).toBe(8)
    const [, metrics] = /(\d+) × alarm/.exec(formulas.at(-1)?.text ?? '') ?? []
    const ofAlarms = read('infra/alarms.yml').split('AWS::CloudWatch::Alarm').slice(1)
    const watched = ofAlarms.map((alarm) => alarm.match(/MetricStat:/g)?.length ?? 1)
    expect(Number(metrics)).toBe(watched.reduce((sum, one) => sum + one, 0))
  })

  test.each(sizes)('are what the formulas make of the %s example', (size) => {
    const index = sizes.indexOf(size)
    const names = namesOf(index)
    const results = lines.filter(({ name }) => isFormula(name) || /[+×]/.test(name))
    expect(results.length).toBeGreaterThan(8)
    for (const { name, cells } of results) {
      const shown = cells[index] ?? ''
      const decimals = shown.split('.')[1]?.length ?? 0
      expect(shown, name).toBe(evaluate(name, names).toFixed(decimals))
    }
  })

  test('say how many backups of a night each the retention keeps, and what a free plan allows', () => {
    const night = (ago: number) => new Date(Date.UTC(2026, 10, 22, 3) - ago * 86_400_000).toISOString()
    const nights = Array.from({ length: 100 }, (_, ago) => ({
      ...{ backupId: night(ago), strategy: 'full', sealedAt: night(ago), rehearsedAt: night(ago) },
      ...{ isSigned: true, unproved: false, pinned: false, running: false },
    }))
    const policy = { last: 7, daily: 14, weekly: 8 }
    const kept = decideRetention(nights, policy, new Date(night(0))).filter(({ keep }) => keep)
    expect(namesOf(0).kept).toBe(kept.length)
    expect(evaluate('30 × (100 + 3 × keys)', namesOf(0))).toBe(93_000)
    expect(evaluate('30 × (100 + 3 × keys)', namesOf(1))).toBeGreaterThan(9_000_000)
    expect(
      evaluate('30 × cache', { ...namesOf(0), cache: evaluate('command × (100 + 3 × 55000)', prices) }),
    ).toBeCloseTo(10, 0)
  })
})

test('what a flood costs in a day follows from the prices that stand beside it', () => {
  const [, perSecond = '', millions = '', gateway = '', each = '', lambda = '', call = '', ms = '', gb = ''] =
    /at most ([\d.]+) × 86,400 = ([\d.]+) million.*?: ([\d.]+) dollars.*?\(([\d.]+) per million\) and ([\d.]+) for the function \(([\d.]+) per million, and some (\d+) ms at (\d+) GB/s.exec(
      document,
    ) ?? []
  expect(millions).toBe(((Number(perSecond) * 86_400) / 1e6).toFixed(2))
  expect(gateway).toBe((Number(millions) * Number(each)).toFixed(2))
  const seconds = Number(millions) * 1e6 * (Number(ms) / 1000) * Number(gb)
  expect(lambda).toBe((Number(millions) * Number(call) + seconds * (prices.gbSecond ?? 0)).toFixed(2))
})

describe('what a run really asks for', () => {
  const reset = useResetStack()
  const fronts = useFronts(reset)

  async function measure(request: object) {
    fronts.s3.seen = []
    fronts.cache.seen = []
    const { runId, backupId } = await withVariables(fronts.variables, () => reset.succeed(request))
    const kinds = fronts.s3.seen.map((seen) => {
      const [method = '', address = ''] = seen.split(' ')
      if (method === 'GET') return address.includes('list-type') ? 'write' : 'read'
      return method === 'HEAD'
        ? 'read'
        : method === 'DELETE' || address.includes('?delete')
          ? 'free'
          : 'write'
    })
    const count = (kind: string) => kinds.filter((one) => one === kind).length
    return {
      writes: count('write'),
      reads: count('read'),
      commands: fronts.cache.seen.flat().length,
      transitions: await transitionsOf(runId),
      rowsGb: ((await reset.manifestOf(backupId)).database?.bytes ?? 0) / 1e9,
    }
  }

  async function transitionsOf(runId: string): Promise<number> {
    const client = new SFNClient({
      endpoint: reset.stack.env.AWS_ENDPOINT_URL_SFN ?? '',
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    })
    const { events = [] } = await client.send(
      new GetExecutionHistoryCommand({ executionArn: executionArn(runId), maxResults: 1000 }),
    )
    client.destroy()
    return events.filter(({ type = '' }) => type.endsWith('StateEntered')).length
  }

  test.runIf(isFull)(
    'is one copy per file, a look at each of the first 250, thousands of strings per command, and no more than the formulas say (full form)',
    async () => {
      await reset.seed({ users: 50, files: 10, keys: 10 })
      const complete = { ...fullReset, takeOver: false } // the second would look for the first one, and at it
      const few = await measure(complete)
      await reset.seed({ users: 50, files: 310, keys: 510 })
      const many = await measure(complete)
      expect([many.writes - few.writes, many.reads - few.reads]).toEqual([300, 240])
      await reset.seed({ users: 50, files: 10, keys: 10 })
      await reset.stack.sql.query(
        `INSERT INTO users (name) SELECT (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 31250) WHERE n > 0)
         FROM generate_series(1, 24) AS n`,
      )
      const heavy = await measure(complete)
      // 500 strings more fit into the scripts that read and delete the few.
      expect(many.commands - few.commands).toBeLessThan(5)
      const [parts, batches] = [7, 2]
      const bound = (name: string, text: RegExp, numbers: Record<string, number>) =>
        evaluate(text.exec(formulas.find((one) => one.name === name)?.text ?? '')?.[1] ?? '', numbers)
      const writesOf = (parts: number, { rowsGb }: { rowsGb: number }) =>
        bound('s3', /write × \((.+?)\) \+/, { parts, rowsGb, files: 0 })
      const more = heavy.writes - few.writes // pieces of 5 MiB, with a request before and one behind
      expect(more).toBeGreaterThan(3)
      expect(more).toBeLessThanOrEqual(writesOf(1, heavy) - writesOf(0, few))
      for (const [{ rowsGb, ...measured }, files, keys] of [
        [few, 10, 11],
        [many, 310, 511],
        [heavy, 10, 11],
      ] as const) {
        expect(measured.writes).toBeLessThanOrEqual(
          bound('s3', /write × \((.+?)\) \+/, { parts, files, rowsGb }),
        )
        expect(measured.reads).toBeLessThanOrEqual(bound('s3', /read × \((.+)\)/, { parts, files }))
        expect(measured.commands).toBeLessThanOrEqual(bound('cache', /command × \((.+)\)/, { keys }))
        expect(measured.transitions).toBeLessThanOrEqual(
          bound('machine', /transition × \((.+)\)/, { batches }),
        )
      }
    },
  )
})
