import type { Service } from '../store.ts'

/** Which parts of a stack were the real thing, and which were imitated: what a demonstration proves, it proves of these. */
export function describeParts(services: readonly Service[]): string {
  const real = services.flatMap((service) => service.real)
  const imitated = services.flatMap((service) => service.imitated)
  return `Real: ${real.join(', ')}.\nImitated, spoken to by the same clients: ${imitated.join(', ')}.`
}
