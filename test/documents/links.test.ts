import { existsSync, globSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { pureTests } from '../support/pure.ts'
import { blocksOf, read } from './blocks.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const documents = globSync(['*.md', 'docs/*.md'], { cwd: root })
const folders = [
  '.ci',
  '.github',
  'bench',
  'console',
  'functions',
  'infra',
  'lib',
  'local',
  'scripts',
  'test',
]
const sources = globSync([`{${folders.join(',')}}/**/*.{ts,tsx,mjs,css,yml,json}`, '*.{ts,yml,json}'], {
  cwd: root,
})

/** The anchors of a document, as GitHub makes them of its headings: one each. `level`: of headings with so many `#` alone. */
function anchorsOf(document: string, level = '1,6'): string[] {
  const fenced = new Set(blocksOf(document).flatMap(({ text }) => text.split('\n')))
  const headings = read(document)
    .split('\n')
    .filter((line) => new RegExp(`^#{${level}} `).test(line) && !fenced.has(line))
  return headings.map((line) =>
    line
      .replace(/^#+ /, '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

const withoutBlocks = (document: string) => read(document).replaceAll(/^```[\s\S]*?^```$/gm, '')

test('no two headings of a document have one anchor', () => {
  // A changelog has "Added" for each version, and nobody refers to it.
  for (const document of documents.filter((document) => document !== 'CHANGELOG.md')) {
    const anchors = anchorsOf(document)
    expect(
      anchors.filter((anchor, index) => anchors.indexOf(anchor) !== index),
      document,
    ).toEqual([])
  }
})

test('each anchor that code names is one of the document that it names', () => {
  const named = sources.flatMap((file) =>
    [...read(file).matchAll(/\b(docs\/[\w-]+\.md)#([\w-]+)/g)].map(([, document = '', anchor = '']) => ({
      file,
      document,
      anchor,
    })),
  )
  expect(named.length).toBeGreaterThan(0)
  for (const { file, document, anchor } of named) expect(anchorsOf(document), file).toContain(anchor)
})

test('each decision is named by what it explains', () => {
  const named = sources.flatMap((file) =>
    [...read(file).matchAll(/\bdocs\/decisions\.md#([\w-]+)/g)].map(([, anchor = '']) => anchor),
  )
  // package.json holds no comments.
  const ofPackages = ['biome-stays-at-25', 'osls-is-installed-under-the-name-serverless']
  expect(anchorsOf('docs/decisions.md', '3').filter((anchor) => !named.includes(anchor))).toEqual(ofPackages)
})

describe.each(documents)('%s', (document) => {
  test('links to what there is', () => {
    for (const [, path = '', anchor] of withoutBlocks(document).matchAll(
      /\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)/g,
    )) {
      const target = path === '' ? document : join(dirname(document), path)
      expect(existsSync(join(root, target)), target).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(target), target).toContain(anchor)
    }
  })

  test('names only files that there are', () => {
    const spans = [...withoutBlocks(document).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
    const paths = spans.filter(
      (span) => /^[\w.-]+\/[\w./*-]*$/.test(span) && folders.some((folder) => span.startsWith(`${folder}/`)),
    )
    const shell = blocksOf(document).filter(({ language }) => language === 'sh')
    const tests = shell.flatMap(({ text }) => text.match(/\btest\/[\w./-]+\.ts\b/g) ?? [])
    for (const path of [...paths, ...tests]) expect(globSync(path, { cwd: root }), path).not.toEqual([])
  })
})

test('the changelog has what is not released yet, then the version of package.json', () => {
  const { version }: { version: string } = JSON.parse(read('package.json'))
  const headings = [...read('CHANGELOG.md').matchAll(/^## \[(.+?)\]/gm)].map(([, name]) => name)
  expect(headings.slice(0, 2)).toEqual(['Unreleased', version])
})

test('README stays short, and promises nothing that the list of all promises lacks', () => {
  const rows = (document: string) => read(document).match(/^\| .+ \| `test\/.+ \|$/gm) ?? []
  expect(read('README.md').split('\n').length).toBeLessThan(300)
  expect(rows('README.md').length).toBeGreaterThan(5)
  expect(rows('docs/promises.md')).toEqual(expect.arrayContaining(rows('README.md')))
})

test('the drawing of the tower has every room of lib, and nothing that is not there', () => {
  const [drawing] = blocksOf('docs/architecture.md').filter(({ language }) => language === 'text')
  const drawn: string[] = drawing?.text.match(/\blib\/[\w./-]*\w/g) ?? []
  const rooms = readdirSync(join(root, 'lib'), { withFileTypes: true }).filter((each) => each.isDirectory())
  // A room may be a file with a folder of its name.
  const isDrawn = (room: string) => drawn.includes(room) || drawn.includes(`${room}.ts`)
  expect(rooms.map(({ name }) => `lib/${name}`).filter((room) => !isDrawn(room))).toEqual([])
  expect(drawn.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

test('the test that is shown to who comes new needs no server', () => {
  const [, path = ''] = /^npx vitest run (test\/\S+)$/m.exec(read('CONTRIBUTING.md')) ?? []
  expect(pureTests(join(root, 'test/**/*.test.ts'))).toContain(join(root, path).replaceAll('\\', '/'))
})
