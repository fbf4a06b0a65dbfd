import type { KeyObject } from 'node:crypto'
import type { Clock } from '../../kit/clock.ts'
import { SECOND } from '../../kit/clock.ts'
import { callClientAddress, type PublicCallOptions } from '../../kit/outgoing-public.ts'
import { algorithmOf, importPublicKey, type PublicJwk, type TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { Client } from '../store/index.ts'
import { namesAlgorithm } from './assertion-algorithms.ts'

/** How long the keys of a client are cached, and how long at least between two requests for them. */
const LIFETIME = 300 * SECOND
const COOLDOWN = 10 * SECOND
/** Clients whose keys are kept, and keys of one of them. */
const CLIENTS_MAX = 1000
const KEYS_MAX = 50
/** Bytes of a JWKS, and milliseconds in which it must arrive. */
const LARGEST = 64 * 1024
const PATIENCE = 5 * SECOND

interface KeyOfClient {
  alg: TokenAlg
  key: KeyObject
}

interface Fetched {
  uri: string
  keys: (KeyOfClient & { kid: string | undefined })[]
  /** When the keys arrived, and when they were last asked for: milliseconds of the monotonic clock. */
  at: number
  triedAt: number
}

/** The public keys of clients that authenticate with `private_key_jwt`, fetched from their `jwks_uri`. */
export class ClientKeys {
  private readonly fetched = new Map<string, Fetched>()
  private readonly underWay = new Map<string, Promise<Fetched>>()

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly options: Pick<PublicCallOptions, 'privateHosts' | 'resolve'>,
  ) {}

  /**
   * Returns the key that an assertion names; if it names none, the only key of the client for the algorithm. Fetches the keys
   * again for an unknown one, but not more often than every 10 seconds.
   * @returns undefined when there is no such key, or the keys cannot be had
   */
  async key(client: Client, { alg, kid }: { alg?: unknown; kid?: unknown }): Promise<KeyObject | undefined> {
    const { id, jwksUri } = client
    if (jwksUri === null) return undefined
    const cached = this.fetched.get(id)
    if (cached?.uri === jwksUri) {
      const now = this.clock.monotonic()
      const key = now - cached.at < LIFETIME ? choose(cached, alg, kid) : undefined
      if (key || now - cached.triedAt < COOLDOWN) return key
    }
    const fetched = await this.fetch(id, jwksUri)
    return this.clock.monotonic() - fetched.at < LIFETIME ? choose(fetched, alg, kid) : undefined
  }

  /** Fetches the keys of a client. Requests that wait for the same answer share it. */
  private async fetch(id: string, uri: string): Promise<Fetched> {
    const place = JSON.stringify([id, uri])
    let fetching = this.underWay.get(place)
    if (!fetching) {
      fetching = this.request(id, uri).finally(() => this.underWay.delete(place))
      this.underWay.set(place, fetching)
    }
    return await fetching
  }

  private async request(id: string, uri: string): Promise<Fetched> {
    const limits = { most: LARGEST, patience: PATIENCE }
    const answer = await callClientAddress(uri, { ...this.options, ...limits }).catch(() => undefined)
    const keys = answer?.status === 200 ? keysIn(answer.text) : undefined
    const triedAt = this.clock.monotonic()
    const before = this.fetched.get(id)
    // Anyone can ask for an unknown key. The known ones must not be lost when the client does not answer for a moment.
    const last = before?.uri === uri ? before : { keys: [], at: Number.NEGATIVE_INFINITY }
    const fetched: Fetched = keys ? { uri, keys, at: triedAt, triedAt } : { uri, keys: last.keys, at: last.at, triedAt }
    this.fetched.delete(id)
    if (this.fetched.size >= CLIENTS_MAX) this.fetched.delete(this.fetched.keys().next().value as string)
    this.fetched.set(id, fetched)
    return fetched
  }
}

function choose({ keys }: Fetched, alg: unknown, kid: unknown): KeyObject | undefined {
  const fitting = keys.filter((candidate) => namesAlgorithm(alg, candidate.alg))
  if (kid !== undefined) return fitting.find((candidate) => candidate.kid === kid)?.key
  return fitting.length === 1 ? fitting[0]?.key : undefined
}

/**
 * The keys of a JWKS that verify signatures by one of our algorithms. Others are ignored (RFC 7517, 5).
 * @returns undefined for other text
 */
function keysIn(text: string): Fetched['keys'] | undefined {
  let keys: unknown
  try {
    keys = JSON.parse(text)?.keys
  } catch {
    return undefined
  }
  if (!Array.isArray(keys)) return undefined
  return keys.slice(0, KEYS_MAX).flatMap((jwk) => {
    const key = keyOf(jwk)
    return key ? [{ ...key, kid: typeof jwk.kid === 'string' ? jwk.kid : undefined }] : []
  })
}

function keyOf(jwk: unknown): KeyOfClient | undefined {
  if (typeof jwk !== 'object' || jwk === null || ('use' in jwk && jwk.use !== 'sig')) return undefined
  try {
    const key = importPublicKey(jwk as PublicJwk)
    const alg = algorithmOf(key)
    const isTooWeak = alg === 'RS256' && Number(key.asymmetricKeyDetails?.modulusLength) < 2048
    if (!alg || isTooWeak || ('alg' in jwk && !namesAlgorithm(jwk.alg, alg))) return undefined
    return { alg, key }
  } catch {
    return undefined
  }
}
