import { bytes } from '../../lib/amounts.ts'
import { counted, isolated, number } from '../numbers.ts'
import { Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { shareOfTable } from '../stores/share-of-table.ts'
import type { CountedStore } from '../stores/store.ts'
import { Bar } from './bar.tsx'

/** Every table with its rows as bars, and what hinders a reset of them. */
export function Tables({ tables, unmanaged, warnings, problem }: CountedStore['database']) {
  const most = Math.max(1, ...tables.map(({ rows }) => rows ?? 0))
  return (
    <>
      {problem && (
        <Notice kind="attention">
          <strong>{problem.name}</strong> <p>{sentence(problem.message)}</p>
        </Notice>
      )}
      {warnings.map(({ code, message }) => (
        <Notice key={code} kind="attention">
          <p>{sentence(message)}</p>
        </Notice>
      ))}
      {tables.length === 0 && <p class="muted">There is no table yet.</p>}
      {tables.length > 0 && (
        <table>
          <caption class="unseen">
            Tables with their rows, and what a reset of the database does to them
          </caption>
          <thead>
            <tr>
              <th scope="col">Table</th>
              <th scope="col" class="number">
                Rows
              </th>
              <th scope="col" class="wide">
                <span class="unseen">Share</span>
              </th>
              <th scope="col" class="number wide">
                Size
              </th>
              <th scope="col">Reset</th>
            </tr>
          </thead>
          <tbody>
            {tables.map((table) => (
              <tr key={table.name}>
                <th scope="row">
                  {table.name.replace(/^public\./, '')}{' '}
                  {table.label && <span class="muted">{table.label}</span>}
                </th>
                <td class="number">
                  {table.rows === null ? 'not readable' : number(table.rows, table.estimated)}
                </td>
                <td class="wide bar-cell">
                  <Bar share={shareOfTable(table)} most={most} />
                </td>
                <td class="number wide">{bytes(table.bytes)}</td>
                <td>
                  {table.action === 'keeps some rows'
                    ? `keeps ${counted(table.keptRows, 'row', table.estimated)}`
                    : (table.action ?? '–')}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {unmanaged.length > 0 && (
        <p class="muted">
          Not managed, so neither backed up nor wiped:{' '}
          {unmanaged.map(({ name, reason }) => `${isolated(name)} (${reason})`).join(', ')}
        </p>
      )}
    </>
  )
}
