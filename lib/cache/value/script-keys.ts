import { isUtf8 } from 'node:buffer'

/** Keys in the order in which a script comes to them: those that are text, which are its KEYS, then the others, in hex behind its ARGV. */
export function inScriptOrder(keys: readonly Buffer[]): readonly Buffer[] {
  const others = keys.filter((key) => !isUtf8(key))
  return others.length === 0 ? keys : [...keys.filter((key) => isUtf8(key)), ...others]
}

export function scriptKeys(keys: readonly Buffer[]): { texts: string[]; hex: string[] } {
  const texts: string[] = []
  const hex: string[] = []
  for (const key of keys) {
    if (isUtf8(key)) texts.push(key.toString())
    else hex.push(key.toString('hex'))
  }
  return { texts, hex }
}

/** Of a script: `bytesOf` what is in hex. */
export const bytesOfHex = `local function bytesOf(hex)
  return (hex:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end))
end
`

/** Of a script: `typeOf` a key; what redis.call makes of a status is a table in Redis. */
export const typeOfKey = `local function typeOf(key)
  local type = redis.call('TYPE', key)
  if type ~= nil and type.ok then type = type.ok end
  return type
end
`

/**
 * Of a script, with bytesOfHex before it: calls `act` with each key until nothing is `left`.
 * @param from where keys begin, in KEYS and in ARGV
 */
export function eachKey(act: string, from: { keys: number; hex: number }): string {
  return `for i = ${from.keys}, #KEYS do
  if left <= 0 then break end
  ${act}(KEYS[i])
end
for i = ${from.hex}, #ARGV do
  if left <= 0 then break end
  ${act}(bytesOf(ARGV[i]))
end
`
}
