import { onBackups } from './backups.ts'
import { onEnvironment } from './environment.ts'
import { onProgram } from './program.ts'
import { onStores } from './stores.ts'

/** Every command, in the order of the help. */
export const commands = { ...onStores, ...onBackups, ...onEnvironment, ...onProgram }
export type CommandName = keyof typeof commands
