import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, frame, opcodes } from '../../lib/postgres/web-socket-frames.ts'

/** A frame as a server sends it: not masked. */
function fromServer(opcode: number, payload: Uint8Array, { isLast = true, asLong = false } = {}): Buffer {
  const { length } = payload
  const head = Buffer.alloc(asLong || length > 65_535 ? 10 : length > 125 ? 4 : 2)
  head[0] = (isLast ? 0x80 : 0) | opcode
  head[1] = head.length === 10 ? 127 : head.length === 4 ? 126 : length
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, payload])
}

function read(pieces: readonly Buffer[]) {
  const data: Buffer[] = []
  const told: string[] = []
  const reader = new FrameReader({
    data: (bytes) => data.push(Buffer.from(bytes)),
    ping: (payload) => told.push(`ping ${payload.toString('hex')}`),
    close: () => told.push('close'),
  })
  for (const piece of pieces) reader.read(piece)
  return { data: Buffer.concat(data), told }
}

/** Takes a client's frame apart, as a server does. */
function unmask(bytes: Buffer): { opcode: number; payload: Buffer } {
  const length = (bytes[1] ?? 0) & 127
  const at = length === 126 ? 4 : length === 127 ? 10 : 2
  const size =
    length === 126 ? bytes.readUInt16BE(2) : length === 127 ? Number(bytes.readBigUInt64BE(2)) : length
  const mask = bytes.subarray(at, at + 4)
  const payload = bytes.subarray(at + 4).map((byte, index) => byte ^ (mask[index % 4] ?? 0))
  expect(((bytes[1] ?? 0) & 0x80) !== 0 && payload.length === size).toBe(true)
  return { opcode: (bytes[0] ?? 0) & 0x0f, payload: Buffer.from(payload) }
}

const sizes = fc.oneof(fc.nat(300), fc.constantFrom(0, 125, 126, 65_535, 65_536, 70_000))

describe('the frames of a WebSocket', () => {
  it('give what was sent, whatever pieces they come in, and however it was cut into frames', () => {
    const message = fc.record({ size: sizes, isLast: fc.boolean(), asLong: fc.boolean() })
    const ping = fc.uint8Array({ maxLength: 125 })
    fc.assert(
      fc.property(
        fc.array(fc.oneof(message, ping), { maxLength: 8 }),
        fc.array(fc.nat(200_000), { maxLength: 10 }),
        (sent, cuts) => {
          const payloads: Buffer[] = []
          const frames = sent.map((one, index) => {
            if (one instanceof Uint8Array) return fromServer(opcodes.ping, one)
            const payload = Buffer.alloc(one.size, index + 1)
            payloads.push(payload)
            return fromServer(index % 2 === 0 ? opcodes.binary : opcodes.continuation, payload, one)
          })
          const bytes = Buffer.concat(frames)
          const at = cuts.map((place) => place % (bytes.length + 1)).sort((one, other) => one - other)
          const pieces = [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
          const { data, told } = read(pieces)
          expect(data.equals(Buffer.concat(payloads))).toBe(true)
          expect(told).toEqual(
            sent
              .filter((one) => one instanceof Uint8Array)
              .map((one) => `ping ${Buffer.from(one).toString('hex')}`),
          )
        },
      ),
    )
  })

  it('say that the server closes, with or without its reason', () => {
    expect(read([fromServer(opcodes.close, Buffer.alloc(0))]).told).toEqual(['close'])
    expect(read([fromServer(opcodes.close, Buffer.from([3, 232, 0x62, 0x79, 0x65]))]).told).toEqual(['close'])
  })

  it('are refused when no server may send them: masked, compressed, endless, or a long one that is no message', () => {
    const wrong = [
      Buffer.from([0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0x82, 0x81, 0, 0, 0, 0, 1]),
      Buffer.from([0xc2, 1, 1]),
      fromServer(opcodes.ping, Buffer.alloc(126)),
    ]
    for (const bytes of wrong) expect(() => read([bytes])).toThrow('no server may send')
  })

  it('of a client are masked, each in its own way, and are what was sent', () => {
    fc.assert(
      fc.property(sizes, fc.nat(255), (size, fill) => {
        const payload = Buffer.alloc(size, fill)
        const { opcode, payload: found } = unmask(frame(opcodes.binary, payload))
        expect(opcode === opcodes.binary && found.equals(payload)).toBe(true)
      }),
    )
    const once = frame(opcodes.binary, Buffer.alloc(64))
    expect(frame(opcodes.binary, Buffer.alloc(64)).equals(once)).toBe(false)
  })
})
