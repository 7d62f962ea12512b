import { expect, it } from 'vitest'
import { rowArrays } from '../../lib/database/load/row-arrays.ts'

async function arraysOf(chunks: readonly string[]): Promise<string[]> {
  async function* bytes() {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  const arrays: string[] = []
  for await (const pieces of rowArrays(bytes())) arrays.push(Buffer.concat(pieces).toString())
  return arrays
}

it('the lines of a part become one array, wherever its chunks are cut', async () => {
  const part = '{"a":"\\n, []"}\n{"a":2}\n{"a":"ü\u2028"}\n'
  const expected = [part.trim().replaceAll('\n', ',')].map((rows) => `[${rows}]`)
  for (let cut = 0; cut <= part.length; cut++) {
    const chunks = [part.slice(0, cut), part.slice(cut)]
    expect(await arraysOf(chunks), String(cut)).toEqual(expected)
  }
})

it('a part without a row gives no array, one whose last line does not end all the same one', async () => {
  expect(await arraysOf([])).toEqual([])
  expect(await arraysOf([''])).toEqual([])
  expect(await arraysOf(['{"a":1}'])).toEqual(['[{"a":1}]'])
  expect(await arraysOf(['{"a":1}\n', '{"a":2}'])).toEqual(['[{"a":1},{"a":2}]'])
})

it('many rows become arrays of about a megabyte, a larger row one of its own or with its neighbours', async () => {
  const row = (size: number, id: number) => `{"id":${id},"text":"${'x'.repeat(size)}"}`
  for (const size of [10, 5_000, 3_000_000]) {
    const rows = Array.from({ length: size > 1e6 ? 4 : Math.ceil(5e6 / size) }, (_, id) => row(size, id))
    const part = `${rows.join('\n')}\n`
    const chunks = Array.from({ length: Math.ceil(part.length / 65_536) }, (_, at) =>
      part.slice(at * 65_536, (at + 1) * 65_536),
    )
    const arrays = await arraysOf(chunks)
    for (const array of arrays) expect(array.length).toBeLessThan(2 ** 20 + 65_536 + size + 100)
    expect(arrays.flatMap((array) => JSON.parse(array).map(({ id }: { id: number }) => id))).toEqual(
      rows.map((_, id) => id),
    )
    expect(arrays.length).toBeGreaterThan(1)
  }
})
