import { lookup } from 'node:dns/promises'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { hostOf } from './outgoing.ts'
import { isPublicAddress } from './public-address.ts'
import { withTimeout } from './timeout.ts'

/** A call of an address that a client gave (contract 16). */
export interface PublicCallOptions {
  /** Hosts that may have private addresses, and may be called over http (`OAUTH_PRIVATE_HOSTS`). */
  privateHosts: readonly string[]
  /** Finds the addresses of a host. Tests set it. */
  resolve?: (host: string) => Promise<string[]>
  /** The certificate authority in place of those of the system. Tests set it. */
  ca?: string
  /** Bytes of the answer that are read at most. */
  most: number
  /** Milliseconds for the whole call. */
  patience: number
  /** Ends the call. */
  signal?: AbortSignal
  /** Sends a POST. */
  body?: { type: string; text: string }
}

export interface PublicAnswer {
  status: number
  text: string
}

/** The address may not be called, or gave no answer. The message has our own words only. */
export class NotCalled extends Error {
  override name = 'NotCalled'
}

/** Returns the addresses of a host. @throws the errors of the resolver */
export async function addressesOf(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/** Whether a host of the setting `OAUTH_PRIVATE_HOSTS` is that of a URL, in any spelling of both. */
export function isPrivateHost(url: string, privateHosts: readonly string[]): boolean {
  const host = hostOf(url)
  return host !== '' && privateHosts.some((name) => hostOf(`http://${isIP(name) === 6 ? `[${name}]` : name}`) === host)
}

/**
 * Calls an address that a client gave, which must not reach what only this machine can reach (SSRF, CWE-918): over https, at
 * public addresses, without redirects, never through a proxy of the environment. The host is resolved once, and the connection
 * goes to an address that was checked; the certificate must be that of the host.
 *
 * This is `node:https` to the checked address, not `fetch`: it neither decompresses (a few KB of gzip can be GBs), nor keeps
 * connections, whose pool would have to tell hosts of one address apart.
 * @throws NotCalled
 */
export async function callClientAddress(text: string, options: PublicCallOptions): Promise<PublicAnswer> {
  const deadline = performance.now() + options.patience
  const url = calledUrl(text, options.privateHosts)
  const addresses = await checkedAddresses(url, options)
  let failure: unknown
  for (const address of addresses) {
    try {
      return await callAt(address, url, { ...options, patience: deadline - performance.now() })
    } catch (error) {
      failure = error
      if (!(error instanceof NotConnected)) break
    }
  }
  throw failure
}

/** The address cannot be reached: another one of the host may be. */
class NotConnected extends NotCalled {}

const UNREACHABLE = /^E(CONNREFUSED|HOSTUNREACH|NETUNREACH|ADDRNOTAVAIL|TIMEDOUT)$/

/** @throws NotCalled */
function calledUrl(text: string, privateHosts: readonly string[]): URL {
  const url = URL.parse(text)
  if (!url) throw new NotCalled('It is no URL')
  if (url.username || url.password) throw new NotCalled('It names a user')
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isPrivateHost(text, privateHosts))) return url
  throw new NotCalled('It is not https')
}

/** The addresses of the host, all of which may be called. @throws NotCalled */
async function checkedAddresses(url: URL, options: PublicCallOptions): Promise<string[]> {
  const { patience, privateHosts, resolve = addressesOf } = options
  const host = hostWithoutBrackets(url)
  const addresses = isIP(host)
    ? [host]
    : await withTimeout(
        resolve(host).catch(() => []),
        patience,
      )
  if (!addresses?.length) throw new NotCalled('The host has no address')
  // One private address is enough to refuse: whoever mixes them wants the check and the connection to differ.
  if (!isPrivateHost(url.href, privateHosts) && !addresses.every(isPublicAddress))
    throw new NotCalled('The host has an address that is not public')
  // Many hosts have no route for IPv6.
  return addresses.toSorted((a, b) => isIP(a) - isIP(b)).slice(0, ADDRESSES_MAX)
}

const ADDRESSES_MAX = 4

function hostWithoutBrackets({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

/** @throws NotCalled */
async function callAt(address: string, url: URL, options: PublicCallOptions): Promise<PublicAnswer> {
  const { body, patience } = options
  let request: ClientRequest | undefined
  const answer = new Promise<PublicAnswer>((resolve, reject) => {
    const sent = open(address, url, options)
    request = sent
    sent.on('error', ({ code = '' }: NodeJS.ErrnoException) =>
      reject(
        UNREACHABLE.test(code) ? new NotConnected('The host cannot be reached') : new NotCalled('The call failed'),
      ),
    )
    sent.on('response', (response) => void readAnswer(response, options.most).then(resolve, reject))
    sent.end(body?.text)
  })
  try {
    const inTime = await withTimeout(answer, Math.max(0, patience))
    if (!inTime) throw new NotCalled('The call took too long')
    return inTime
  } finally {
    request?.destroy()
  }
}

function open(address: string, url: URL, { body, ca, signal }: PublicCallOptions): ClientRequest {
  const host = hostWithoutBrackets(url)
  const options = {
    host: address,
    port: url.port === '' ? undefined : Number(url.port),
    path: url.pathname + url.search,
    method: body ? 'POST' : 'GET',
    headers: {
      host: url.host,
      accept: '*/*',
      'accept-encoding': 'identity',
      connection: 'close',
      ...(body ? { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) } : {}),
    },
    // The global agent obeys the proxy variables when NODE_USE_ENV_PROXY is set.
    agent: false,
    ...(signal ? { signal } : {}),
  } as const
  // Loaded by the first call: the module takes 1 MB.
  if (url.protocol === 'http:') return process.getBuiltinModule('node:http').request(options)
  return process.getBuiltinModule('node:https').request({
    ...options,
    // NODE_TLS_REJECT_UNAUTHORIZED would turn it off. TLS has no names for addresses (RFC 6066, 3).
    rejectUnauthorized: true,
    ...(isIP(host) ? {} : { servername: host.replace(/\.$/, '') }),
    ...(ca === undefined ? {} : { ca }),
  })
}

/** @throws NotCalled when the answer is too large, compressed, or incomplete */
async function readAnswer(response: IncomingMessage, most: number): Promise<PublicAnswer> {
  const { headers, statusCode: status = 0 } = response
  if (!/^(identity)?$/i.test(headers['content-encoding'] ?? '')) throw new NotCalled('The answer is compressed')
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      size += chunk.length
      if (size > most) break
      chunks.push(chunk)
    }
  } catch {
    throw new NotCalled('The answer is incomplete')
  }
  if (size > most) throw new NotCalled('The answer is too large')
  if (!response.complete) throw new NotCalled('The answer is incomplete')
  return { status, text: Buffer.concat(chunks).toString('utf8') }
}
