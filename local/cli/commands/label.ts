import { setNames } from '../../../lib/backup/naming/label.ts'
import { namesOf } from '../../../lib/backup/naming/names.ts'
import { InvalidRequest } from '../../../lib/errors.ts'
import { named } from '../../../lib/http/request/backup-name.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { naming } from '../../../lib/run/request/fields.ts'
import type { Answer } from '../answer.ts'
import { type Arguments, WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { requester } from '../request.ts'

/** Command "label": what a backup is called, and what is to be known of it. */
export async function labelBackup(
  { clients }: Connected,
  { argument: name, second: label, flags: { note, remove } }: Arguments,
): Promise<Answer> {
  if (name === undefined)
    throw new WrongUsage('label needs the id of a backup; "backups" lists them', 'label')
  if (remove ? label !== undefined || note !== undefined : label === undefined && note === undefined)
    throw new WrongUsage('label needs a name for the backup, or --note, or --remove alone', 'label')
  const said = remove
    ? { label: null, note: null }
    : {
        ...(label !== undefined && { label: checked('label', label) }),
        ...(note !== undefined && { note: note === '' ? null : checked('note', note) }),
      }
  const backupId = await named(clients, name)
  const names = await withConnection(clients, async (connection) => {
    await setNames(clients, connection, { backupId, ...said, by: requester() })
    return (await namesOf(connection, [backupId])).get(backupId)
  })
  const labels = names?.labels ?? []
  const called = labels.length === 0 ? 'has no label' : `is called ${labels.join(', ')}`
  const text = `${backupId} ${called}${names?.note ? `: ${names.note}` : ''}.\n`
  return { document: { backupId, labels, note: names?.note ?? null }, text, code: 0 }
}

/** By the rules of a request. @throws InvalidRequest */
function checked(field: 'label' | 'note', said: string): string {
  const { data, error } = naming[field].safeParse(said)
  if (data !== undefined) return data
  throw new InvalidRequest(`${field}: ${error?.issues.map(({ message }) => message).join('; ')}`)
}
