import type { ComponentChild } from 'preact'
import { bytes } from '../../lib/amounts.ts'
import type { Options } from '../../lib/http/answers/options.ts'
import { counted, isolated, number } from '../numbers.ts'
import { Notice } from '../page/notice.tsx'
import { Bar } from './bar.tsx'
import { type Share, shareOfCache, shareOfFiles, shareOfTable } from './shares.ts'

/** Every table, the files and the cache, with counts as bars. */
export function Contents({ options }: { options: Options }) {
  const { database, files, cache } = options
  const filesShare = shareOfFiles(options)
  const cacheShare = shareOfCache(options)
  return (
    <section aria-labelledby="contents">
      <h2 id="contents">What is there</h2>
      <p class="legend muted">
        <i class="key goes" aria-hidden="true" /> goes with a reset <i class="key stays" aria-hidden="true" />{' '}
        stays
      </p>
      <div class="panel">
        <h3>Database</h3>
        {database.available ? <Tables {...database} /> : <Down reason={database.reason} />}
      </div>
      <div class="pair">
        <div class="panel">
          <h3>Files</h3>
          {files.available && filesShare ? (
            <Store
              share={filesShare}
              one="file"
              where={<span class="address">{`s3://${files.bucket}/${files.prefix}`}</span>}
              size={bytes(files.bytes)}
            />
          ) : (
            !files.available && <Down reason={files.reason} />
          )}
        </div>
        <div class="panel">
          <h3>Cache</h3>
          {cache.available && cacheShare ? (
            <Store
              share={cacheShare}
              one="key"
              where={
                cache.prefix === '*' ? (
                  'the whole Redis database'
                ) : (
                  <span class="address">{cache.prefix}…</span>
                )
              }
            />
          ) : (
            !cache.available && <Down reason={cache.reason} />
          )}
        </div>
      </div>
    </section>
  )
}

function Tables({ tables, unmanaged, warnings, problem }: Extract<Options['database'], { available: true }>) {
  const most = Math.max(1, ...tables.map(({ rows }) => rows ?? 0))
  return (
    <>
      {problem && (
        <Notice kind="attention">
          <strong>{problem.name}</strong> <p>{problem.message}</p>
        </Notice>
      )}
      {warnings.map(({ code, message }) => (
        <Notice key={code} kind="attention">
          <p>{message}</p>
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

function Store({
  share,
  one,
  where,
  size,
}: {
  share: Share
  one: string
  where: ComponentChild
  size?: string
}) {
  const all = share.goes + share.stays
  return (
    <>
      <p class="figure">
        {number(all, share.estimated)} <span class="muted">{all === 1 ? one : `${one}s`}</span>
      </p>
      <Bar share={share} most={Math.max(1, all)} />
      <p class="muted">
        {size && `${size} · `}
        {where}
        {share.stays > 0 &&
          ` · ${number(share.stays, share.estimated)} ${share.stays === 1 ? 'stays' : 'stay'}`}
      </p>
    </>
  )
}

function Down({ reason }: { reason: { name: string; message: string } }) {
  return (
    <Notice kind="attention">
      <strong>Cannot be read now.</strong> <p>{reason.message}</p>
    </Notice>
  )
}
