import { getOptions } from '../../../lib/run/options.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { showOptions } from '../show/options.ts'

/** Command "options": what can be reset, and what it holds now. */
export async function listOptions({ clients }: Connected): Promise<Answer> {
  const options = await getOptions(clients)
  return { document: options, text: showOptions(options), code: 0 }
}
