import { counted, utc } from '../../../lib/amounts.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { ResetOptions } from '../../../lib/run/options.ts'
import type { Request } from '../../../lib/run/request.ts'
import { scopeOf } from '../../../lib/run/strategy.ts'
import { isUnclaimed } from '../../../lib/run/words/claim-state.ts'
import { isWritten, storesIn } from '../../../lib/run/words/held.ts'
import { nowAndAfter, restoredStores, whatRestoreMeans } from '../../../lib/run/words/now-and-after.ts'
import { type Target, targets } from '../../../lib/store.ts'
import { type ToldStores, words } from '../../../lib/stores/words.ts'
import { type Shapes, stores } from '../../stores.ts'
import { table } from './table.ts'

/** Everything that can be reset, and what it holds now. */
export function showOptions(options: ResetOptions): string {
  const state = [claimOf(options), options.protected ? 'protected: nothing is wiped in it' : 'not protected']
  return [
    `Environment "${options.environment}": ${state.join('; ')}.\n`,
    `\nStrategies:\n${table(options.strategies.map(({ name, description }) => [name, description]))}`,
    ...targets.map(
      (target) => `\n${target[0]?.toUpperCase()}${target.slice(1)}:\n${showFound(target, options[target])}`,
    ),
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
  return [
    `Reset "${request.strategy}" of the environment "${options.environment}".\n`,
    ...clears.map((target) => `\n${target}:\n${showFound(target, options[target])}`),
    preserves.length > 0 ? `\nNot touched: ${preserves.join(', ')}.\n` : '',
    request.backup
      ? '\nA backup is taken and sealed first; without it nothing is wiped.\n'
      : '\nNO BACKUP is taken: what is wiped cannot come back.\n',
    warnOfProtection(options, 'reset'),
  ].join('')
}

/** What a reset replaces that goes back to a backup: what there is now, and what there is afterwards. */
export function showResetTo(
  options: ResetOptions,
  backup: Backup,
  request: Extract<Request, { operation: 'reset' }>,
): string {
  const { clears, preserves } = scopeOf(request.strategy)
  const exactly = { targets: clears, exact: true }
  const changes = nowAndAfter(options, backup, exactly)
  return [
    `Reset "${request.strategy}" of the environment "${options.environment}" to ${describeBackup(backup)}\n`,
    table([['', 'now', 'after'], ...changes.map(({ what, now, after }) => [what, now, after])]),
    '\nWhat is preserved stays as it is; all else becomes what the backup holds, and nothing more.\n',
    preserves.length > 0 ? `\nNot touched: ${preserves.join(', ')}.\n` : '',
    request.backup
      ? '\nWhat is there now is backed up first; without that backup nothing is replaced.\n'
      : '\nNO BACKUP is taken: what is replaced cannot come back.\n',
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

function describeBackup(backup: Backup): string {
  const { backupId, environment, strategy, rehearsedAt, imported } = backup
  const from = imported === undefined ? '' : `, imported from ${imported.from}`
  const sealed = isWritten(storesIn(backup)) ? 'read back' : 'copies found'
  const proof = rehearsedAt === null ? sealed : `rehearsed ${utc(rehearsedAt)}`
  const lines = targets.map((target) => [target, heldOf(target, backup[target])])
  return `backup ${backupId} of the environment "${environment}" (${strategy}, ${proof}${from}):\n${table(lines)}`
}

function heldOf<T extends Target>(target: T, held: ToldStores[T]['held'] | null): string {
  return held === null ? 'not in it' : counted(words[target].count(held), words[target].unit)
}

/** What of a store could be reset, or why that is not known. */
function showFound<T extends Target>(
  target: T,
  found: ({ available: true } & Shapes[T]['found']) | Extract<ResetOptions[T], { available: false }>,
): string {
  return found.available
    ? stores[target].showOption(found)
    : `  cannot be asked. ${found.reason.name}: ${found.reason.message}\n`
}
