import { expect, test } from 'vitest'
import { checkShape, documentBounds } from '../../lib/backup/documents/json.ts'
import { keyLine, sizeOf } from '../../lib/cache/value/lines.ts'
import type { Item, KeyType } from '../../lib/cache/value/pages.ts'
import { readLimits } from '../../lib/cache/value/read.ts'

const empty = Buffer.alloc(0)
const shortest: [KeyType, Item][] = [
  ['list', empty],
  ['hash', [empty, empty]],
  ['stream', [Buffer.from('1-1'), [empty, empty]]],
]

test.each(shortest)(
  'a line of the shortest elements of a %s holds no more values than are read of one',
  (type, item) => {
    const items = Array.from({ length: readLimits.lineBytes / sizeOf(item) }, () => item)
    const line = keyLine({ key: Buffer.from('key'), type, expiresAt: null }, items)
    expect(() => checkShape(line, documentBounds)).not.toThrow()
    expect(Buffer.byteLength(line)).toBeGreaterThan(0.8 * readLimits.lineBytes)
  },
)
