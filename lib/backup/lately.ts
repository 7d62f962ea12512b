import type { Clients } from '../clients.ts'

const keptMs = 30_000

/** What every manifest is read for, looked at twice a minute at most by one process, however many ask for it. */
export function lately<Answer>(look: (clients: Clients, now: number) => Promise<Answer>) {
  const kept = new WeakMap<Clients, { at: number; answer: Promise<Answer> }>()
  return {
    of(clients: Clients): Promise<Answer> {
      const now = clients.now().getTime()
      const last = kept.get(clients)
      if (last !== undefined && now - last.at < keptMs && now >= last.at) return last.answer
      const answer = look(clients, now)
      kept.set(clients, { at: now, answer })
      // What failed is asked again at once.
      answer.catch(() => kept.get(clients)?.answer === answer && kept.delete(clients))
      return answer
    },
    /** What one process has looked at is looked at again: it has changed something. */
    forget(clients: Clients): void {
      kept.delete(clients)
    },
  }
}
