import { createHash, type Hash, hash, randomBytes } from 'node:crypto'
import { KeySet } from '../key-set.ts'
import { lastMoment } from './expiry.ts'
import { fromJsonBytes } from './json-bytes.ts'
import type { Item, KeyType } from './pages.ts'
import type { StreamState } from './stream.ts'

/** Each of four sums is modulo this: every interpreter of Lua adds them exactly, also one whose integers have 32 bits. */
const modulus = 2 ** 28

/** Elements of one value; it is not compared when it has more: the server would be busy with it for seconds. */
export const comparedItems = 1_000_000

/**
 * What all that is hashed begins with; another one in each process, for no digest leaves it. Sums of hashes that anybody can
 * make are equal for values that somebody looked for: two sets of 128 members each in three seconds.
 * @see docs/decisions.md#digests-of-the-cache-begin-with-a-secret
 */
export const digestSalt = randomBytes(16).toString('hex')
const salt = Buffer.from(digestSalt)

/**
 * A digest of 64 bits of a key's type, value and expiry, made of what is exported, which `digestScript` makes of what is in
 * the server. Elements of sets, hashes and sorted sets count in any order and each once, because the pages of a large one may bring
 * one twice. DUMP would not do: its bytes depend on encodings, on the order of a hash table, and on a compression that is free to differ.
 */
export class ValueDigest {
  readonly #type: KeyType
  readonly #counters: boolean
  /** Of a string: its first piece, which mostly is all of it; of more than one, a hash of them. */
  #piece: Buffer | undefined
  #whole: Hash | undefined
  readonly #sums = [0, 0, 0, 0]
  #chain = digestSalt
  #state = ''
  #size = 0
  #seen: KeySet | undefined

  /** @param counters whether all counts of a stream that a restore sets, too, and that its groups have no consumers */
  constructor(type: KeyType, counters = false) {
    this.#type = type
    this.#counters = counters
  }

  /** @param stream of a stream's last line: where it stands counts as well */
  add(items: readonly Item[], stream?: StreamState): void {
    if (stream !== undefined) this.#state = stateText(stream, this.#counters)
    for (const item of items) {
      if (this.#type === 'string') this.#addPiece(item as Buffer)
      else if (this.#type === 'list' || this.#type === 'stream') {
        this.#chain = hash('sha1', Buffer.concat([Buffer.from(this.#chain), encoded(item)]), 'hex')
        this.#size++
      } else this.#addUnordered(encoded(item))
    }
  }

  /** @param expiresAt in milliseconds; null: never, or the server does not tell it exactly (see knowsExpiryTime) */
  end(expiresAt: number | null): string {
    const expiry = String(expiresAt ?? '')
    if (this.#type === 'string') return this.#ofString(Buffer.from(`:${expiry}:string`, 'latin1'))
    const isInOrder = this.#type === 'list' || this.#type === 'stream'
    const state = isInOrder ? this.#chain + this.#state : this.#sums.join(':')
    const text = Buffer.from(`${this.#type}:${this.#size}:${state}:${expiry}`, 'latin1')
    return hash('sha1', text, 'hex').slice(0, 16)
  }

  #addPiece(piece: Buffer): void {
    if (this.#piece === undefined) {
      this.#piece = piece
      return
    }
    this.#whole ??= createHash('sha1').update(salt).update(this.#piece)
    this.#whole.update(piece)
  }

  #ofString(end: Buffer): string {
    const digest =
      this.#whole === undefined
        ? hash('sha1', Buffer.concat([salt, this.#piece ?? Buffer.alloc(0), end]), 'hex')
        : this.#whole.update(end).digest('hex')
    return digest.slice(0, 16)
  }

  #addUnordered(bytes: Buffer): void {
    this.#seen ??= new KeySet()
    // Of a value that is not compared anyway, no more elements need to be remembered.
    if (this.#size > comparedItems || !this.#seen.add(bytes)) return
    const digest = hash('sha1', Buffer.concat([salt, bytes]), 'hex')
    for (const [lane, sum] of this.#sums.entries()) {
      this.#sums[lane] = (sum + Number.parseInt(digest.slice(7 * lane, 7 * lane + 7), 16)) % modulus
    }
    this.#size++
  }
}

/** The last id of a stream and how far each of its groups has read, in the server's order, which is that of their names. */
function stateText({ lastId, entriesAdded, maxDeletedId, groups }: StreamState, counters: boolean): string {
  const counted = (...counts: (number | string | null)[]) =>
    counters ? counts.map((count) => `:${count ?? ''}`).join('') : ''
  return [
    lastId + counted(entriesAdded, maxDeletedId),
    ...groups.map(({ name, lastDeliveredId, entriesRead }) => {
      const group = encoded(fromJsonBytes(name)).toString('latin1')
      return group + lastDeliveredId + counted(entriesRead, 0)
    }),
  ].join(';')
}

/** The parts of an element, each behind its length. */
function encoded(item: Item): Buffer {
  if (Buffer.isBuffer(item)) return Buffer.concat([Buffer.from(`${item.length}:`), item])
  return Buffer.concat(item.map(encoded))
}

/**
 * Lua: `sizeOf(key, type)`, the number of a value's elements (for a string, of 512 bytes; nil for a type that no backup holds), `digestOf(key, type)`,
 * as ValueDigest makes it (with `counters`, if that is set; `salt` has to be), and `digestOfString(key, value)`, of a string that was read already.
 * The imitation of Redis gives a script no value for an empty string.
 */
export const digestScript = `local function encoded(text) return #text .. ':' .. text end
local sizes = { list = 'LLEN', set = 'SCARD', hash = 'HLEN', zset = 'ZCARD', stream = 'XLEN' }
local function sizeOf(key, type)
  if type == 'string' then return math.floor(redis.call('STRLEN', key) / 512) end
  return sizes[type] and redis.call(sizes[type], key)
end
local knowsFieldExpiry = true
local function fieldExpiries(key, items)
  local found = {}
  for from = 1, knowsFieldExpiry and #items or 0, 2000 do
    local call = { 'HPEXPIRETIME', key, 'FIELDS', '' }
    for i = from, math.min(from + 1999, #items), 2 do call[#call + 1] = items[i] end
    call[4] = string.format('%d', #call - 4)
    local times = redis.pcall(unpack(call))
    if times.err then
      knowsFieldExpiry = false
      return {}
    end
    for i = 1, #times do found[from + 2 * (i - 1)] = tonumber(times[i]) end
  end
  return found
end
local knowsExpiryTime = true
local function expiryOf(key)
  if not knowsExpiryTime then return '' end
  local expiry = tonumber(redis.pcall('PEXPIRETIME', key))
  knowsExpiryTime = expiry ~= nil
  return expiry ~= nil and expiry >= 0 and string.format('%.0f', math.min(expiry, ${lastMoment})) or ''
end
local salt
local function digestOfString(key, value)
  return redis.sha1hex(salt .. value .. ':' .. expiryOf(key) .. ':string'):sub(1, 16)
end
local counters = false
local scans = { set = 'SSCAN', hash = 'HSCAN', zset = 'ZSCAN' }
local function digestOf(key, type)
  if type == 'string' then return digestOfString(key, redis.call('GET', key) or '') end
  local size, state = 0, salt
  if type == 'list' then
    local length = redis.call('LLEN', key)
    for from = 0, length - 1, 1000 do
      for _, item in ipairs(redis.call('LRANGE', key, from, from + 999)) do
        state = redis.sha1hex(state .. encoded(item))
        size = size + 1
      end
    end
  elseif type == 'stream' then
    local from = '-'
    repeat
      local page = redis.call('XRANGE', key, from, '+', 'COUNT', 1000)
      for _, entry in ipairs(page) do
        local parts = { state, encoded(entry[1]) }
        for i, field in ipairs(entry[2]) do parts[i + 2] = encoded(field) end
        state = redis.sha1hex(table.concat(parts))
        size = size + 1
        from = '(' .. entry[1]
      end
    until #page < 1000
    local function field(list, name)
      for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
      return ''
    end
    local function counter(list, name)
      if not counters then return '' end
      local count = field(list, name)
      return ':' .. (tonumber(count) and string.format('%.0f', count) or count or '')
    end
    local told, groups = redis.pcall('XINFO', 'STREAM', key), redis.pcall('XINFO', 'GROUPS', key)
    if not told.err and not groups.err then
      state = state .. field(told, 'last-generated-id') .. counter(told, 'entries-added')
      state = state .. counter(told, 'max-deleted-entry-id')
      for _, group in ipairs(groups) do
        state = state .. ';' .. encoded(field(group, 'name')) .. field(group, 'last-delivered-id')
        state = state .. counter(group, 'entries-read') .. counter(group, 'consumers')
      end
    end
  else
    local a, b, c, d = 0, 0, 0, 0
    local cursor = '0'
    repeat
      local reply = redis.call(scans[type], key, cursor, 'COUNT', 1000)
      cursor = reply[1]
      local items = reply[2]
      local expiries = type == 'hash' and fieldExpiries(key, items) or {}
      for i = 1, #items, type == 'set' and 1 or 2 do
        local text = encoded(items[i])
        if type ~= 'set' then text = text .. encoded(items[i + 1]) end
        if (expiries[i] or -1) >= 0 then text = text .. encoded(string.format('%.0f', expiries[i])) end
        local digest = redis.sha1hex(salt .. text)
        a = (a + tonumber(digest:sub(1, 7), 16)) % ${modulus}
        b = (b + tonumber(digest:sub(8, 14), 16)) % ${modulus}
        c = (c + tonumber(digest:sub(15, 21), 16)) % ${modulus}
        d = (d + tonumber(digest:sub(22, 28), 16)) % ${modulus}
        size = size + 1
      end
    until cursor == '0'
    state = string.format('%d:%d:%d:%d', a, b, c, d)
  end
  return redis.sha1hex(type .. ':' .. string.format('%d', size) .. ':' .. state .. ':' .. expiryOf(key)):sub(1, 16)
end
`
