import { readFileSync } from 'node:fs'
import { InvalidConfiguration, InvalidRequest, messageOf } from '../../../lib/errors.ts'

/** Where an API is, and the token for it. */
export type Access = { url: string; token: string }

const variable = 'TASKMASTER_RESET_TOKEN'

/**
 * The token comes from a file or the environment: what stands on a command line is read by every process of the machine, and
 * stays in the shell's history. To anything but this machine itself it goes encrypted.
 * @throws InvalidRequest, InvalidConfiguration, neither with the token
 * @see docs/decisions.md#the-command-line-takes-no-token-as-an-argument
 */
export function accessTo(
  api: string,
  file: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Access {
  const text = file === undefined ? environment[variable] : contentOf(file)
  const url = addressOf(api)
  const where = file === undefined ? variable : `--token-file ${file}`
  const token = text?.trim() ?? ''
  if (token === '') {
    throw new InvalidConfiguration(
      `--api needs a token, and ${where} holds none. Put it into a file and say --token-file, or into ${variable}`,
    )
  }
  if (!/^[\x21-\x7e]{1,1024}$/.test(token))
    throw new InvalidConfiguration(`${where} is to hold one token, and nothing else`)
  return { url, token }
}

function addressOf(api: string): string {
  const { protocol, hostname, pathname, origin, username, password, search, hash } = parsed(api)
  if (username !== '' || password !== '' || search !== '' || hash !== '')
    throw new InvalidRequest('--api takes an address alone: without a user, a query or a fragment')
  if (!isEncryptedOrHere({ protocol, hostname })) {
    throw new InvalidRequest(
      `--api takes an https:// address, or http:// on this machine: the token would be readable on the way to ${hostname}`,
    )
  }
  return origin + pathname.replace(/\/(v1\/?)?$/, '')
}

/** What is sent there can be read on the way by nobody. */
export function isEncryptedOrHere({ protocol, hostname }: { protocol: string; hostname: string }): boolean {
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  return protocol === 'https:' || (protocol === 'http:' && isHere)
}

function parsed(api: string): URL {
  if (URL.canParse(api)) return new URL(api)
  throw new InvalidRequest(
    '--api is not an address, as https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com',
  )
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new InvalidConfiguration(`--token-file ${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
}
