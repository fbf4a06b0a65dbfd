import { type Clock, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { messageOf } from '../../kit/outbox/events.ts'
import { callExternal } from '../../kit/outgoing.ts'
import type { Random } from '../../kit/random.ts'
import type { Delivery } from '../store.ts'
import type { Outcome } from './deliverer.ts'
import { webhookHeaders } from './signature.ts'

const PATIENCE = 15 * SECOND
/** How long after each try the next one is made, give or take a tenth: twelve in about a day. */
const PAUSES = [
  SECOND,
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  8 * HOUR,
]
const JITTER = 0.1
/** How far a receiver may put off a try that would come sooner (`Retry-After`). */
const LONGEST_ASKED = HOUR

interface Receiver {
  url: string
  /** Undefined: CH202_SECRET does not open it. */
  secret: Uint8Array | undefined
}

interface SenderOptions {
  /** Those that no proxy may see a call to. */
  hosts: readonly string[]
  clock: Clock
  random: Random
  version: string
}

/** Sends to one webhook, by the specification of Standard Webhooks. What the receiver says is not read. */
export function webhookSender({ secret, url }: Receiver, { clock, hosts, random, version }: SenderOptions) {
  const failed = (tries: number, error: string, status: number | null = null, asked = 0): Outcome => {
    const pause = PAUSES[tries]
    const jitter = 1 + JITTER * (random.bytes(1).readUInt8() / 127.5 - 1)
    const retryIn = pause === undefined ? null : Math.max(Math.round(pause * jitter), Math.min(asked, LONGEST_ASKED))
    return { delivered: false, status, error, retryIn }
  }
  return async ({ event, tries }: Delivery, signal: AbortSignal): Promise<Outcome> => {
    if (!secret) return failed(tries, 'secret_not_opened')
    const body = JSON.stringify(messageOf(event))
    const seconds = Math.floor(clock.now() / SECOND)
    let response: Response
    try {
      response = await callExternal(url, hosts, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': `Ch202/${version}`,
          ...webhookHeaders(secret, event.id, seconds, body),
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
      })
    } catch (error) {
      return failed(tries, reasonOf(error))
    }
    const { headers, ok, status } = response
    response.body?.cancel().catch(() => undefined)
    if (ok) return { delivered: true, status }
    if (status === 410) return { delivered: false, status, error: 'gone', retryIn: null, gone: true }
    const asked = retryAfter(headers.get('retry-after'), clock.now())
    return failed(tries, status >= 300 && status < 400 ? 'redirect' : 'refused', status, asked)
  }
}

/** Milliseconds (RFC 9110, 10.2.3: seconds, or a date); 0 where nothing is asked for. */
function retryAfter(value: string | null, now: number): number {
  if (value === null) return 0
  if (/^\d{1,9}$/.test(value)) return Number(value) * SECOND
  return Math.max(0, (Date.parse(value) || 0) - now)
}

/** A name for what fetch throws: its text may hold the address. */
function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (name === 'TimeoutError') return 'timeout'
  if (/CERT|TLS|SSL/.test(String(code))) return 'tls'
  return 'unreachable'
}
