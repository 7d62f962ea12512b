import type { Clients } from '../../lib/clients.ts'

type Size = { bytes: number; pages: number }

/**
 * A database whose catalog says other sizes than its tables have: the driver's answer is changed, and nothing of ours. So
 * the plan of a terabyte can be made without one.
 * @param sizeOf of a table, by its name
 */
export function withSizes(clients: Clients, sizeOf: (name: string) => number): Clients {
  // biome-ignore lint/suspicious/noExplicitAny: rows as the driver gives them
  const invent = (row: any) => {
    const isTable = 'may_truncate' in row && 'pages' in row
    return isTable ? { ...row, ...sized(sizeOf(row.name)) } : row
  }
  return {
    ...clients,
    async connect() {
      const connection = await clients.connect()
      function query(...statement: Parameters<typeof connection.query>) {
        const answer: unknown = connection.query(...statement)
        if (!(answer instanceof Promise)) return answer
        return answer.then((given) =>
          Array.isArray(given?.rows) ? Object.assign(given, { rows: given.rows.map(invent) }) : given,
        )
      }
      return Object.create(connection, { query: { value: query } })
    },
  }
}

function sized(bytes: number): Size {
  return { bytes, pages: Math.ceil(bytes / 8192) }
}
