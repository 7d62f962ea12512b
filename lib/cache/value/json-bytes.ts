import { isUtf8 } from 'node:buffer'
import * as z from 'zod'

/** Bytes in JSON: a string when they are UTF-8, and otherwise `{"base64": "…"}`. */
export const JsonBytes = z.union([z.string(), z.strictObject({ base64: z.base64() })])
export type JsonBytes = z.output<typeof JsonBytes>

export function toJsonBytes(bytes: Buffer): JsonBytes {
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') }
}

export function fromJsonBytes(json: JsonBytes): Buffer {
  return typeof json === 'string' ? Buffer.from(json) : Buffer.from(json.base64, 'base64')
}
