import { counted } from '../numbers.ts'
import type { Share } from './store.ts'

/** What a reset leaves of a store that is told in one line. */
export function preserved({ stays, estimated }: Share, one: string): string[] {
  return stays > 0 ? [`${counted(stays, one, estimated)} that ${stays === 1 ? 'is' : 'are'} preserved`] : []
}
