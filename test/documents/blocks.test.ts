import { accessSync, globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import machine from '../../state-machine.asl.json' with { type: 'json' }
import { endOf } from '../cli/run-script.ts'
import { makeCheckout, paste } from '../support/checkout.ts'
import { blocksOf, commandsOf, notRun, read } from './blocks.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: root })]
const { scripts, bin: own } = JSON.parse(read('package.json')) as Record<
  'scripts' | 'bin',
  Record<string, string>
>
const deployment = read('serverless.yml')

describe.each(documents)('%s', (path) => {
  const blocks = blocksOf(path)

  test('says of each of its blocks what it is, and why when it is not run', () => {
    const languages = ['sh', 'json', 'text', 'mermaid', 'sql', 'yaml']
    for (const { language, note, line } of blocks) {
      expect(languages, `${path}:${line}`).toContain(language)
      if (language === 'sh') expect(note, `${path}:${line}`).toMatch(/^$|^not run: \S|^in a terminal/)
    }
    expect(read(path).match(/^```/gm)?.length ?? 0).toBe(2 * blocks.length)
  })

  test('names only commands, scripts and parameters that there are', () => {
    for (const { text, note, line } of blocks.filter(({ language }) => language === 'sh')) {
      for (const [, script = ''] of text.matchAll(/\bnpm run (?:-s )?([\w-]+)/g))
        expect(Object.keys(scripts), `${path}:${line}`).toContain(script)
      for (const [, command = ''] of text.matchAll(/\bnpm (?!run\b)([\w-]+)/g))
        expect(['ci', ...Object.keys(scripts)], `${path}:${line}`).toContain(command)
      for (const [, program = ''] of text.matchAll(/\bnpx ([\w-]+)/g))
        if (!(program in own)) accessSync(`${root}node_modules/.bin/${program}`)
      for (const [, name] of text.matchAll(/--param="([\w-]+)=/g))
        expect(deployment, `${path}:${line} ${name}`).toMatch(new RegExp(`param:${name}\\b|^ *${name}:`, 'm'))
      if (!notRun.test(note)) expect(text).not.toMatch(/\baws |\bserverless /)
    }
  })
})

test('the commands of docs/ do what they say, pasted as they stand', async () => {
  const { folder, remove } = await makeCheckout()
  try {
    const commands = documents.filter((path) => path.startsWith('docs/')).flatMap(commandsOf)
    expect(commands.length).toBeGreaterThan(0)
    for (const { text } of commands) {
      const { code, stderr } = await endOf(paste(text, folder))
      expect([code, stderr], text).toEqual([0, ''])
    }
  } finally {
    await remove()
  }
})

test('the drawing of a run has the states of the machine that do something, and no others', () => {
  const [drawing] = blocksOf('docs/architecture.md').filter(({ language }) => language === 'mermaid')
  const text = drawing?.text ?? ''
  const doing = (states: Record<string, { Type: string }>) =>
    Object.entries(states)
      .filter(([, { Type }]) => ['Task', 'Map', 'Fail'].includes(Type))
      .map(([name]) => name)
  const branches: { States: Record<string, { Type: string }> }[] = machine.States['Back up'].Branches
  const working = [...doing(machine.States), ...branches.flatMap(({ States }) => doing(States))]
  const labels = [...text.matchAll(/\w\[([^\]<]+)(?:<br\/>batches)?\]/g)].map(([, label]) => label)
  const alone = [...text.matchAll(/^ {2}(?:.*(?:-->|&|\.->) )?(Count|Seal|Finish|Prune|Failed)\b/gm)]
  const drawn = new Set([...labels, ...alone.map(([, name]) => name), 'Back up'])
  expect([...drawn].sort()).toEqual([...new Set([...working, 'Back up'])].sort())
})
