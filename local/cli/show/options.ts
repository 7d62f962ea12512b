import { bytes, counted, utc } from '../../../lib/amounts.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { TableOption } from '../../../lib/database/schema/option.ts'
import type { ResetOptions } from '../../../lib/run/options.ts'
import type { Request } from '../../../lib/run/request.ts'
import { scopeOf } from '../../../lib/run/strategy.ts'
import { isUnclaimed } from '../../../lib/run/words/claim-state.ts'
import { nowAndAfter, restoredStores, whatRestoreMeans } from '../../../lib/run/words/now-and-after.ts'
import { targets } from '../../../lib/store.ts'
import { table } from './table.ts'

/** Everything that can be reset, and what it holds now. */
export function showOptions(options: ResetOptions): string {
  const state = [claimOf(options), options.protected ? 'protected: nothing is wiped in it' : 'not protected']
  return [
    `Environment "${options.environment}": ${state.join('; ')}.\n`,
    `\nStrategies:\n${table(options.strategies.map(({ name, description }) => [name, description]))}`,
    `\nDatabase:\n${databaseOf(options)}`,
    `\nFiles:\n${filesOf(options)}`,
    `\nCache:\n${cacheOf(options)}`,
  ].join('')
}

function claimOf(options: ResetOptions): string {
  if (options.claimed) return 'claimed'
  return isUnclaimed(options)
    ? 'not claimed: runs are refused until "claim --confirm <name>"'
    : 'not known whether claimed, because not all stores can be asked'
}

/** What a reset with this request takes and what it leaves, for a person to confirm. */
export function showReset(options: ResetOptions, request: Extract<Request, { operation: 'reset' }>): string {
  const { clears, preserves } = scopeOf(request.strategy)
  const shown = { database: databaseOf, files: filesOf, cache: cacheOf }
  return [
    `Reset "${request.strategy}" of the environment "${options.environment}".\n`,
    ...clears.map((target) => `\n${target}:\n${shown[target](options)}`),
    preserves.length > 0 ? `\nNot touched: ${preserves.join(', ')}.\n` : '',
    request.backup
      ? '\nA backup is taken and sealed first; without it nothing is wiped.\n'
      : '\nNO BACKUP is taken: what is wiped cannot come back.\n',
    warnOfProtection(options, 'reset'),
  ].join('')
}

/** What a restore with this request replaces, and by what: what there is now, and what there is afterwards. */
export function showRestore(
  options: ResetOptions,
  backup: Backup,
  request: Extract<Request, { operation: 'restore' }>,
): string {
  const stores = restoredStores(backup, request)
  const changes = nowAndAfter(options, backup, request)
  const others = targets.filter((target) => !stores.includes(target))
  return [
    `Restore ${describeBackup(backup)}`,
    `\nIn the environment "${options.environment}":\n\n`,
    table([['', 'now', 'after'], ...changes.map(({ what, now, after }) => [what, now, after])]),
    ...whatRestoreMeans(restoredStores(backup, request), request).map((sentence) => `\n${sentence}\n`),
    others.length > 0 ? `\nNot touched: ${others.join(', ')}.\n` : '',
    request.safetyBackup
      ? '\nWhat is there now is backed up first; without that backup nothing is replaced.\n'
      : '\nNO SAFETY BACKUP is taken: what is replaced cannot come back.\n',
    warnOfProtection(options, 'restore'),
  ].join('')
}

/** Known before anybody types the environment's name. */
function warnOfProtection({ environment, protected: isProtected }: ResetOptions, operation: string): string {
  if (!isProtected) return ''
  return `\nThe environment "${environment}" is protected, so this ${operation} will be refused.\n`
}

/** What a delete takes away for good. */
export function showDelete(backup: Backup): string {
  return `Delete ${describeBackup(backup)}\nIt cannot be restored afterwards.\n`
}

function describeBackup({ backupId, environment, strategy, rehearsedAt, ...held }: Backup): string {
  const { database, files, cache } = held
  const sealed = database === null && cache === null ? 'copies found' : 'read back'
  const proof = rehearsedAt === null ? sealed : `rehearsed ${utc(rehearsedAt)}`
  return `backup ${backupId} of the environment "${environment}" (${strategy}, ${proof}):\n${table([
    ['database', database === null ? 'not in it' : counted(database.rows, 'row')],
    ['files', files === null ? 'not in it' : counted(files.objects, 'file')],
    ['cache', cache === null ? 'not in it' : counted(cache.keys, 'key')],
  ])}`
}

function databaseOf({ database }: ResetOptions): string {
  if (!database.available) return unavailable(database.reason)
  const rows = database.tables.map((one) => [
    one.name,
    one.label ?? '',
    one.rows === null ? 'not readable' : counted(one.rows, 'row'),
    bytes(one.bytes),
    actionOf(one),
  ])
  const unmanaged = database.unmanaged.map(({ name, reason }) => [name, 'not managed', reason])
  const problem = database.problem
  return [
    rows.length === 0 ? '  no tables\n' : table(rows),
    table(unmanaged),
    ...database.warnings.map(({ code, message }) => `  Warning ${code}: ${message}\n`),
    problem === null
      ? ''
      : `  A reset of the database would be refused. ${problem.name}: ${problem.message}\n`,
  ].join('')
}

function actionOf({ action, keptRows, keepRows }: TableOption): string {
  if (action !== 'keeps some rows') return action ?? ''
  return `wiped but for ${counted(keptRows, 'row')} (${keepRows})`
}

function filesOf({ files }: ResetOptions): string {
  if (!files.available) return unavailable(files.reason)
  const { bucket, prefix, objects, preservedObjects, preservedBytes, unmatched } = files
  return [
    table([[`s3://${bucket}/${prefix}`, counted(objects, 'file'), bytes(files.bytes)]]),
    preservedObjects === 0
      ? ''
      : `  of them kept: ${counted(preservedObjects, 'file')}, ${bytes(preservedBytes)}\n`,
    ...unmatched.map((prefix) => `  to be kept, but there is no file below it: ${prefix}\n`),
  ].join('')
}

function cacheOf({ cache }: ResetOptions): string {
  if (!cache.available) return unavailable(cache.reason)
  return [
    table([[cache.prefix === '*' ? 'all keys' : `keys ${cache.prefix}…`, counted(cache.keys, 'key')]]),
    cache.preservedKeys === 0 ? '' : `  of them kept: ${counted(cache.preservedKeys, 'key')}\n`,
    ...cache.unmatched.map((pattern) => `  to be kept, but no key matches it: ${pattern}\n`),
  ].join('')
}

function unavailable(reason: { name: string; message: string }): string {
  return `  cannot be asked. ${reason.name}: ${reason.message}\n`
}
