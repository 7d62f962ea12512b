import { posix } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PathNames } from '../../../local/cli/download/names.ts'

const pathsOf = (...keys: string[]) => {
  const names = new PathNames()
  return keys.map((key) => names.pathOf(...key.split('/')))
}

describe('the paths of a download', () => {
  test.each([
    ['stories/1/cover 2 (final).png', 'stories/1/cover 2 (final).png'],
    ['../../etc/passwd', '%2E%2E/%2E%2E/etc/passwd'],
    ['/etc/passwd', '%/etc/passwd'],
    ['a//b/', 'a/%/b/%'],
    ['', '%'],
    ['./.../.bashrc', '%2E/%2E%2E%2E/.bashrc'],
    ['C:\\windows\\x', 'C%3A%5Cwindows%5Cx'],
    ['nul\0l\n', 'nul%00l%0A'],
    ['NUL', '%4EUL'],
    ['com1.txt', '%63om1.txt'],
    ['dot.', 'dot%2E'],
    [' space ', '%20space%20'],
    ['100%', '100%25'],
    ['Übung', '%C3%9Cbung'],
    ['$(rm -rf ~)', '%24(rm -rf ~)'],
  ])('of %j is %s', (key, path) => {
    expect(pathsOf(key)).toEqual([path])
  })

  test('of keys that only case, or a file in the place of a folder, tells apart are told apart', () => {
    expect(pathsOf('Cover.png', 'a', 'a/b', 'cover.png')).toEqual([
      ...['Cover.png', 'a', '%61%/%62', '%63%6F%76%65%72%2E%70%6E%67'],
    ])
  })

  test('of a table is one segment, whatever its name', () => {
    expect(new PathNames().pathOf('public.a/../b')).toBe('public.a%2F..%2Fb')
  })

  test('of a long name is shorter than file systems take, and another than that of one with the same beginning', () => {
    const [one = '', other = ''] = pathsOf(`${'x'.repeat(1000)}a`, `${'x'.repeat(1000)}b`)
    expect(one).not.toBe(other)
    for (const path of [one, other, ...pathsOf('ü'.repeat(500))]) expect(path.length).toBeLessThan(200)
  })

  test('of any keys stay below the folder, and are all different, also without their case and where a folder is a file', () => {
    const unit = fc.constantFrom('a', 'A', '.', '/', '%', '6', '1', ' ', '~', '\\', '\0', 'ß', 'é', '\u0301')
    const key = fc.string({ unit, maxLength: 8 })
    fc.assert(
      fc.property(fc.uniqueArray(key, { maxLength: 40 }), (keys) => {
        const sorted = keys.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
        const paths = pathsOf(...sorted)
        const files = paths.map((path) => path.toLowerCase())
        expect(new Set(files).size).toBe(keys.length)
        for (const path of paths) {
          expect(posix.join('/root', path)).toBe(`/root/${path}`)
          expect(path).toMatch(/^[\x20-\x7e]+$/)
          expect(path.split('/')).not.toContain('')
          const segments = path.toLowerCase().split('/')
          for (let end = 1; end < segments.length; end++)
            expect(files).not.toContain(segments.slice(0, end).join('/'))
        }
      }),
      { numRuns: 300 },
    )
  })
})
