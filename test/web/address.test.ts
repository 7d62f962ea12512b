import { describe, expect, test } from 'vitest'
import { kindOfAddress } from '../../lib/web/address.ts'
import { judge, type Lookup, type PrivateHost } from '../../lib/web/host.ts'

const at =
  (...addresses: string[]): Lookup =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
const unasked: Lookup = async (host) => {
  throw new Error(`nobody asked for ${host}`)
}
const judged = (url: string, lookup: Lookup = unasked, allowed: PrivateHost[] = []) =>
  judge(new URL(url), allowed, lookup)
const refused = { refused: expect.any(String) }

describe('an address is called when anybody on the Internet could be asked there', () => {
  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.0',
    '172.15.0.1',
    '172.32.0.1',
    '198.17.0.1',
    '223.255.255.255',
    '2606:4700::1111',
    '2a05:d014::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ])('%s', (address) => {
    expect(kindOfAddress(address)).toBe('public')
  })

  const others: Record<string, string[]> = {
    loopback: ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1'],
    private: [
      ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', '100.64.0.1', '100.127.255.255'],
      ...['fc00::1', 'fd12:3456:789a::1', '::ffff:10.0.0.1', '64:ff9b::a00:1', '64:ff9b::10.0.0.1'],
    ],
    never: [
      ...[
        '169.254.169.254',
        '169.254.170.2',
        '::ffff:169.254.169.254',
        '::ffff:a9fe:a9fe',
        '64:ff9b::a9fe:a9fe',
      ],
      ...['fd00:ec2::254', 'fd00:ec2::23', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fe80::1%eth0'],
      ...['0.0.0.0', '0.1.2.3', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.51.100.1', '203.0.113.9'],
      ...['224.0.0.1', '239.1.1.1', '240.0.0.1', '255.255.255.255', '::', 'fe80::1', 'fec0::1', 'ff02::1'],
      ...['2001::1', '2001:10::1', '2001:db8::1', '2002:a9fe:a9fe::1', '3fff::1', '64:ff9b:1::1', '100::1'],
      ...['::a9fe:a9fe', '::ffff:0:a9fe:a9fe', '64:ff9b::', '5f00::1', '4000::1', '', 'localhost', '1.2.3'],
    ],
  }
  const rows = Object.entries(others).flatMap(([kind, some]) => some.map((one) => [one, kind] as const))
  test.each(rows)('and not %s, which is %s', (address, kind) => {
    expect(kindOfAddress(address)).toBe(kind)
  })

  const written = [
    'https://169.254.169.254/latest/meta-data/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://017700000001/',
    'https://127.1/',
    'https://127.0.0.1./',
    'https://[::1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[::ffff:169.254.169.254]/',
    'https://[fd00:ec2::254]/',
    'https://[64:ff9b::10.0.0.1]/',
    'https://[0:0:0:0:0:0:0:1]/',
    'https://①②⑦.0.0.1/',
    'https://10.0.0.1:443/',
  ]
  test.each(written)(
    'however it is written, and without that anybody is asked what it means: %s',
    async (url) => {
      expect(await judged(url)).toEqual(refused)
    },
  )
})

describe('a name is called', () => {
  test('at all of its addresses, when all are public', async () => {
    const addresses = [
      { address: '93.184.216.34', family: 4 },
      { address: '2606:2800:220::1', family: 6 },
    ]
    const lookup = at('93.184.216.34', '2606:2800:220::1')
    expect(await judged('https://hooks.example.com/x', lookup)).toEqual({ addresses })
  })

  test.each(['127.0.0.1', '10.1.2.3', '::1', 'fd00:ec2::254', '169.254.169.254', '::ffff:10.0.0.1'])(
    'not when one of them is %s',
    async (address) => {
      for (const lookup of [at(address), at('93.184.216.34', address), at(address, '93.184.216.34')])
        expect(await judged('https://hooks.example.com/', lookup)).toEqual(refused)
    },
  )

  test('not when it has no address, or cannot be looked up, which is no refusal: it may be there in a moment', async () => {
    const gone: Lookup = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND /secret'), { code: 'ENOTFOUND' })
    }
    expect(await judged('https://x.example/', at())).toEqual({ failed: 'x.example has no address' })
    expect(await judged('https://x.example/', gone)).toEqual({
      failed: 'the name x.example cannot be looked up (ENOTFOUND)',
    })
  })

  test.each([
    'http://hooks.example.com/',
    'ftp://hooks.example.com/',
    'file:///etc/passwd',
    'https://user@hooks.example.com/',
    'https://:pass@hooks.example.com/',
    'https://hooks.example.com@127.0.0.1/',
  ])('not by an address such as %s', async (url) => {
    expect(await judged(url, at('93.184.216.34'))).toEqual(refused)
  })

  test('and a refusal tells the host and nothing else of the address', async () => {
    const told = JSON.stringify([
      await judged('https://10.0.0.1/services/hunter2?token=hunter2#hunter2'),
      await judged('https://hunter2:hunter2@example.com/'),
      await judged('http://example.com/hunter2'),
      await judged('https://metadata.example/hunter2', at('169.254.169.254')),
    ])
    expect(told).not.toContain('hunter2')
    expect(told).toContain('10.0.0.1, which is in a private network')
  })
})

describe('a host of a network of one’s own is called', () => {
  const allowed: PrivateHost[] = [
    { host: 'ops.internal', port: null },
    { host: 'localhost', port: 8080 },
    { host: '10.0.0.7', port: null },
    { host: '::1', port: null },
  ]

  test('when it is named, by name or address, and with a port at that alone', async () => {
    expect(await judged('https://ops.internal/x', at('10.0.0.9'), allowed)).toHaveProperty('addresses')
    expect(await judged('https://ops.internal:8443/', at('fd12::1'), allowed)).toHaveProperty('addresses')
    expect(await judged('https://10.0.0.7/', unasked, allowed)).toHaveProperty('addresses')
    expect(await judged('https://[::1]/', unasked, allowed)).toHaveProperty('addresses')
    expect(await judged('https://localhost:8080/', at('127.0.0.1', '::1'), allowed)).toHaveProperty(
      'addresses',
    )
    expect(await judged('https://localhost/', at('127.0.0.1'), allowed)).toEqual(refused)
    expect(await judged('https://10.0.0.8/', unasked, allowed)).toEqual(refused)
    expect(await judged('https://sub.ops.internal/', at('10.0.0.9'), allowed)).toEqual(refused)
    expect(await judged('https://notops.internal/', at('10.0.0.9'), allowed)).toEqual(refused)
  })

  test('over http:// only when it is on this machine', async () => {
    expect(await judged('http://localhost:8080/', at('127.0.0.1', '::1'), allowed)).toHaveProperty(
      'addresses',
    )
    expect(await judged('http://localhost:8080/', at('127.0.0.1', '10.0.0.1'), allowed)).toEqual(refused)
    expect(await judged('http://localhost:8080/', at('93.184.216.34'), allowed)).toEqual(refused)
    expect(await judged('http://ops.internal/', at('10.0.0.9'), allowed)).toEqual(refused)
    expect(await judged('http://localhost:8081/', at('127.0.0.1'), allowed)).toEqual(refused)
  })

  test.each(['169.254.169.254', 'fd00:ec2::254', '0.0.0.0', '224.0.0.1', '::ffff:169.254.169.254'])(
    'but never at %s, where a machine is told its own credentials, or nobody is',
    async (address) => {
      expect(await judged('https://ops.internal/', at(address), allowed)).toEqual(refused)
    },
  )
})
