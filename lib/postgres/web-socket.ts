import { createHash, randomBytes } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { FrameReader, frame, opcodes } from './web-socket-frames.ts'

type Events = {
  open: object
  message: { data: Buffer }
  error: Error
  close: object
}

/** Takes what the server sent, in the buffer of the socket; gives back what is not for it, and is not asked again then. */
export type Tap = (bytes: Buffer) => Buffer | null

/** Milliseconds in which the server has to end a connection that we closed. */
const closePatience = 3_000
const maxHeadBytes = 16 * 1024
/** What is larger costs more to put together than to send by itself. */
const collectMaxBytes = 16 * 1024

/**
 * The WebSocket that the driver speaks Postgres over, in place of Node's: that one makes three copies of each packet, whose
 * collection costs more than all else that an export does with them. Here packets come in one buffer, and whoever has a tap
 * in takes them from there. A message is passed on in the pieces in which it comes, since the protocol has messages of its own.
 * @see docs/decisions.md#the-driver-has-a-websocket-of-ours
 */
export class PostgresWebSocket {
  binaryType = 'arraybuffer'
  /** Whoever wants the bytes as they come. */
  tap: Tap | undefined
  readonly #socket: Socket
  readonly #listeners = new Map<string, ((event: never) => void)[]>()
  readonly #key = randomBytes(16).toString('base64')
  #head: Buffer | null = Buffer.alloc(0)
  readonly #frames = new FrameReader({
    data: (bytes) => this.#deliver(bytes),
    ping: (payload) => this.#send(opcodes.pong, payload),
    close: () => this.close(),
  })
  #collected: Uint8Array[] = []
  #collectedBytes = 0
  #isClosing = false

  constructor(address: string) {
    const url = new URL(address)
    const isSecure = url.protocol === 'wss:'
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const options = {
      host,
      port: Number(url.port || (isSecure ? 443 : 80)),
      onread: {
        buffer: Buffer.alloc(2 ** 17),
        callback: (length: number, buffer: Uint8Array) => this.#read(length, buffer),
      },
    }
    const begin = () => this.#socket.write(this.#request(url))
    this.#socket = isSecure
      ? connectTls({ ...options, servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] }, begin)
      : connectTcp(options, begin)
    this.#socket.setNoDelay(true)
    this.#socket.setKeepAlive(true, 60_000)
    this.#socket.on('error', (cause) => this.#fire('error', this.#errorOf(cause)))
    this.#socket.on('end', () => this.#socket.destroy()) // what still waits to be sent would keep it open
    this.#socket.on('close', () => this.#fire('close', {}))
  }

  /** As WebSockets have it, from 0 (connecting) to 3 (closed). */
  get readyState(): number {
    if (this.#socket.destroyed) return 3
    return this.#isClosing ? 2 : this.#head === null ? 1 : 0
  }

  /** Bytes that wait for the network to take them. */
  get bufferedAmount(): number {
    return this.#socket.writableLength + this.#collectedBytes
  }

  addEventListener<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener])
  }

  /** What is sent before anything else has its turn goes in one frame: a statement is five messages of Postgres'. */
  send(payload: Uint8Array): void {
    if (this.#isClosing) return
    if (this.#collected.length === 0) process.nextTick(() => this.#sendCollected())
    this.#collected.push(payload)
    this.#collectedBytes += payload.length
    if (this.#collectedBytes > collectMaxBytes) this.#sendCollected()
  }

  close(): void {
    if (this.#isClosing) return
    this.#sendCollected()
    this.#isClosing = true
    if (this.#head !== null) {
      this.#socket.destroy()
      return
    }
    this.#socket.end(frame(opcodes.close, Buffer.alloc(0)))
    setTimeout(() => this.#socket.destroy(), closePatience).unref() // however much it still sends
  }

  #sendCollected(): void {
    const [first, ...others] = this.#collected
    if (first === undefined) return
    this.#collected = []
    this.#collectedBytes = 0
    this.#send(opcodes.binary, others.length === 0 ? first : Buffer.concat([first, ...others]))
  }

  #send(opcode: number, payload: Uint8Array): void {
    if (!this.#isClosing) this.#socket.write(frame(opcode, payload))
  }

  #request({ pathname, search, host }: URL): string {
    return [
      `GET ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${this.#key}`,
      '\r\n',
    ].join('\r\n')
  }

  /** Always asks for more. */
  #read(length: number, buffer: Uint8Array): boolean {
    const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, length)
    try {
      if (this.#head === null) this.#frames.read(bytes)
      else this.#readHead(Buffer.concat([this.#head, bytes]))
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
    return true
  }

  #readHead(head: Buffer): void {
    const end = head.indexOf('\r\n\r\n')
    this.#head = head
    if (end === -1 && head.length < maxHeadBytes) return
    const [status = '', ...lines] = head.toString('latin1', 0, end === -1 ? maxHeadBytes : end).split('\r\n')
    const headers = new Map(
      lines
        .map((line) => line.split(':', 2))
        .map(([name = '', value]) => [name.toLowerCase(), value?.trim()]),
    )
    const accepted = createHash('sha1')
      .update(`${this.#key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64')
    if (!status.startsWith('HTTP/1.1 101') || headers.get('sec-websocket-accept') !== accepted)
      throw new Error(`the WebSocket was refused: ${status.slice(0, 100)}`)
    this.#head = null
    this.#fire('open', {})
    this.#frames.read(head.subarray(end + 4))
  }

  /** One that breaks is told as the driver tells of one that just ends: it has no SQLSTATE, and the system's code is none. */
  #errorOf(cause: Error): Error {
    return new Error(this.#head === null ? `Connection terminated: ${cause.message}` : cause.message, {
      cause,
    })
  }

  #deliver(bytes: Buffer): void {
    const others = this.tap === undefined ? bytes : this.tap(bytes)
    if (others === null) return
    this.tap = undefined
    this.#fire('message', { data: Buffer.from(others) })
  }

  #fire<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(event as never)
  }
}
