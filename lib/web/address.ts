import { BlockList, isIP } from 'node:net'

/**
 * What an address is good for. `public`: anybody on the Internet could be asked there. `private`, `loopback`: of a network
 * of one's own, or this machine; only a host that the configuration names may be there. `never`: what describes the machine
 * to itself (the metadata of a cloud, with its credentials), and what is no address of one host.
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'never'

const blocks = (subnets: readonly string[], family: 'ipv4' | 'ipv6') => {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/')
    list.addSubnet(network, Number(bits), family)
  }
  return (address: string) => list.check(address, family)
}

// IANA's registers of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry, of November 2026; 168.63.129.16 is Azure's own.
const isLoopback4 = blocks(['127.0.0.0/8'], 'ipv4')
const isPrivate4 = blocks(['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'], 'ipv4')
const isSpecial4 = blocks(
  [
    ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15'],
    ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32'],
    '100.100.100.200/32', // Alibaba's metadata, within what is shared between customers of a provider
  ],
  'ipv4',
)
const isLoopback6 = blocks(['::1/128'], 'ipv6')
const isMetadata6 = blocks(['fd00:ec2::/32', 'fd20:ce::/32'], 'ipv6')
const isPrivate6 = blocks(['fc00::/7'], 'ipv6')
const isGlobal6 = blocks(['2000::/3'], 'ipv6')
const isSpecial6 = blocks(
  ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'],
  'ipv6',
)
/** IPv4 in the clothes of IPv6: as the operating system maps it, and as a network without IPv4 translates it. */
const isMapped = blocks(['::ffff:0:0/96', '64:ff9b::/96'], 'ipv6')

/** @param address an IP address in any form that the operating system gives, or a URL holds without its brackets */
export function kindOfAddress(address: string): AddressKind {
  const family = isIP(address)
  if (family === 4) return kindOf4(address)
  // One with a zone ("%eth0") is of one link.
  if (family === 0 || address.includes('%')) return 'never'
  if (isMapped(address)) return kindOf4(lastFour(address))
  if (isLoopback6(address)) return 'loopback'
  if (isMetadata6(address)) return 'never'
  if (isPrivate6(address)) return 'private'
  return isGlobal6(address) && !isSpecial6(address) ? 'public' : 'never'
}

function kindOf4(address: string): AddressKind {
  if (isSpecial4(address)) return 'never'
  if (isLoopback4(address)) return 'loopback'
  return isPrivate4(address) ? 'private' : 'public'
}

/** The IPv4 address in the last 32 bits of one of IPv6. */
function lastFour(address: string): string {
  const [, dotted] = /:(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? []
  if (dotted !== undefined) return dotted
  // As a URL writes it, which leaves out zeros: at most two groups are left behind the prefix.
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::').pop()?.split(':') ?? []
  const [high, low] = [...['0', '0'], ...groups].slice(-2).map((group) => Number.parseInt(group || '0', 16))
  return [high, low].flatMap((word = 0) => [word >> 8, word & 255]).join('.')
}
