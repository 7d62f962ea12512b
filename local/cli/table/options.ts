import type { OptionText } from './option-text.ts'
import { optionsOfAll } from './options-of-all.ts'
import { optionsOfBackups } from './options-of-backups.ts'
import { optionsOfLooks } from './options-of-looks.ts'
import { optionsOfRestores } from './options-of-restores.ts'

/** Every option of the command line. */
export const optionTexts = {
  ...optionsOfAll,
  ...optionsOfBackups,
  ...optionsOfRestores,
  ...optionsOfLooks,
}
export type OptionName = keyof typeof optionTexts

/** What was said with each option. */
export type Flags = { [Name in OptionName]?: Said<(typeof optionTexts)[Name]> }
type Said<Text extends OptionText> = Text extends { type: 'boolean' }
  ? boolean
  : Text extends { multiple: true }
    ? string[]
    : string
