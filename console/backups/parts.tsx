import { useState } from 'preact/hooks'
import { bytes } from '../../lib/amounts.ts'
import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { counted } from '../numbers.ts'
import { attempt } from '../page/attempt.ts'
import { useSession } from '../page/session.ts'
import { holdsOf } from './parts.ts'

type Props = { backup: BackupDetails; onError: (error: Error | undefined) => void }
const shownAtFirst = 50
/** Every object of the backup but for the copies of files, to be downloaded one by one. */
export function Parts({ backup, onError }: Props) {
  const { api, session } = useSession()
  const [shown, setShown] = useState(shownAtFirst)
  const mayDownload = session.scopes.includes('restore')

  const download = (part: string) =>
    attempt(onError, async () => {
      const { url } = await api.part(backup.backupId, part)
      window.open(url, '_blank', 'noopener')
    })

  return (
    <section aria-labelledby="parts">
      <h2 id="parts">Parts</h2>
      {!mayDownload && <p class="muted">To download parts, the token needs the scope "restore".</p>}
      <div class="panel">
        {backup.files !== null && backup.files > 0 && (
          <p class="muted">
            The copies of the files are not listed here: <span class="address">files.jsonl.zst</span> names
            them.
          </p>
        )}
        <table>
          <caption class="unseen">Objects of the backup</caption>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col" class="number wide">
                Holds
              </th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">
                <span class="unseen">Download</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {backup.parts.slice(0, shown).map(({ part, bytes: size, ...held }) => (
              <tr key={part}>
                <th scope="row" class="address">
                  {part}
                </th>
                <td class="number wide">{holdsOf(held)}</td>
                <td class="number">{bytes(size)}</td>
                <td class="number">
                  <button
                    type="button"
                    class="quiet"
                    disabled={!mayDownload}
                    onClick={() => void download(part)}
                  >
                    Download<span class="unseen"> {part}</span>
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {backup.parts.length > shown && (
          <button type="button" class="quiet" onClick={() => setShown(shown + 500)}>
            Show more of {counted(backup.parts.length, 'part')}
          </button>
        )}
        {backup.next !== null && (
          <p class="muted">
            There are more of them:{' '}
            <code>
              GET /v1/backups/{backup.backupId}?after={backup.next}
            </code>
          </p>
        )}
      </div>
    </section>
  )
}
