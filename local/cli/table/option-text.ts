/** How parseArgs reads an option, what `--help` says, and which field of a request it stands for. */
export type OptionText = {
  type: 'boolean' | 'string'
  short?: string
  multiple?: boolean
  value?: string
  says: string
  /** Of a request; with a dot, in an object of it. */
  field?: string
  /** What the option says by being there; without it, what follows it, or `true`. */
  means?: unknown
  /** What follows it is a number. */
  isNumber?: boolean
}
