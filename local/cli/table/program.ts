import { alone, type Command } from './command.ts'

/** The command line itself. */
export const onProgram = {
  completion: {
    says: 'what bash, zsh or fish needs to complete commands and options',
    argument: '<shell>',
    options: alone,
  },
  help: { says: 'this help, or that of a command', argument: '[command]', options: alone },
} as const satisfies Record<string, Command>
