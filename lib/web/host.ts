import { type LookupAddress, promises } from 'node:dns'
import { isIP } from 'node:net'
import { type AddressKind, kindOfAddress } from './address.ts'

/** A host of a network of one's own that may be called, by name or address; with a port that one alone. */
export type PrivateHost = { host: string; port: number | null }

/** All addresses of a name. */
export type Lookup = (host: string) => Promise<LookupAddress[]>

const lookupAll: Lookup = (host) => promises.lookup(host, { all: true, verbatim: true })

/** Where may be called: one of these addresses and no other, for the name may mean another one in a moment. */
export type Judged = { addresses: LookupAddress[] } | { refused: string } | { failed: string }

/**
 * Decides whether an address of the web may be called. What stands in it beside the host is never told.
 * @see docs/decisions.md#what-is-called-is-public-or-named
 */
export async function judge(
  url: URL,
  allowed: readonly PrivateHost[],
  lookup: Lookup = lookupAll,
): Promise<Judged> {
  const host = hostOf(url)
  if (url.username !== '' || url.password !== '')
    return { refused: `an address with a user or a password in it (host ${host})` }
  const isNamed = allowed.some((one) => one.host === host && (one.port === null || one.port === portOf(url)))
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isNamed))
    return { refused: `${host} over ${url.protocol}//, and only https:// is called` }
  const found = await addressesOf(host, lookup)
  if (!Array.isArray(found)) return found
  if (found.length === 0) return { failed: `${host} has no address` }
  const kinds = new Set(found.map(({ address }) => kindOfAddress(address)))
  const wrong = refusalOf(kinds, { isNamed, isPlain: url.protocol === 'http:' })
  return wrong === null ? { addresses: found } : { refused: `${host}, ${wrong}` }
}

/** The host as it is compared and told: without brackets and without the dot that says that nothing is to be added. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'http:' ? 80 : 443) : Number(port)
}

async function addressesOf(host: string, lookup: Lookup): Promise<LookupAddress[] | { failed: string }> {
  const family = isIP(host)
  if (family !== 0) return [{ address: host, family }]
  try {
    return await lookup(host)
  } catch (error) {
    return { failed: `the name ${host} cannot be looked up (${codeOf(error)})` }
  }
}

/** All are judged, not the first: which one is connected to is decided later. */
function refusalOf(
  kinds: ReadonlySet<AddressKind>,
  { isNamed, isPlain }: { isNamed: boolean; isPlain: boolean },
): string | null {
  if (kinds.has('never')) return 'which is at an address that is never called'
  if (isPlain && (kinds.has('public') || kinds.has('private')))
    return 'which is not on this machine, over http://; only https:// leaves it'
  if (!isNamed && (kinds.has('private') || kinds.has('loopback')))
    return 'which is in a private network and is not one of ALLOWED_PRIVATE_HOSTS'
  return null
}

/** The code of an error of the system, of TLS or of HTTP. Messages may hold what the other side sent. */
export function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  const word = typeof code === 'string' ? code : name
  return typeof word === 'string' && /^\w{1,60}$/.test(word) ? word : 'unknown error'
}
