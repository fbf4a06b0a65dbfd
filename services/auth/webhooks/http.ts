import { type Clock, SECOND } from '../../kit/clock.ts'
import { messageOf } from '../../kit/outbox/events.ts'
import { callExternal } from '../../kit/outgoing.ts'
import type { Random } from '../../kit/random.ts'
import type { Delivery } from '../store/index.ts'
import type { DeliveryOutcome } from './deliverer.ts'
import { retryAfterOf, retryDelay } from './retry.ts'
import { webhookHeaders } from './signature.ts'

/** How long a webhook may take to answer. */
const PATIENCE = 15 * SECOND

interface Receiver {
  url: string
  /** Signs the messages; undefined when CH202_SECRET does not open it. */
  secret: Uint8Array | undefined
}

interface SenderOptions {
  /** Hosts that are called directly, never through a proxy. */
  hosts: readonly string[]
  clock: Clock
  random: Random
  version: string
}

/** Returns a function that makes one attempt to deliver to a webhook (Standard Webhooks). The response body is ignored. */
export function webhookSender(receiver: Receiver, options: SenderOptions) {
  const { clock, random } = options
  const failed = (tries: number, error: string, status: number | null = null, retryAfter = 0): DeliveryOutcome => {
    const retryIn = retryDelay(tries, random.bytes(1).readUInt8() / 255, retryAfter)
    return { delivered: false, status, error, retryIn }
  }
  return async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const { tries } = delivery
    const { secret, url } = receiver
    if (!secret) return failed(tries, 'secret_not_opened')
    let response: Response
    try {
      response = await post({ url, secret }, delivery, signal, options)
    } catch (error) {
      return failed(tries, reasonOf(error))
    }
    const { headers, ok, status } = response
    response.body?.cancel().catch(() => undefined)
    if (ok) return { delivered: true, status }
    if (status === 410) return { delivered: false, status, error: 'gone', retryIn: null, unsubscribed: true }
    const retryAfter = retryAfterOf(headers.get('retry-after'), clock.now())
    return failed(tries, status >= 300 && status < 400 ? 'redirect' : 'refused', status, retryAfter)
  }
}

async function post(
  { secret, url }: { url: string; secret: Uint8Array },
  { event }: Delivery,
  signal: AbortSignal,
  { clock, hosts, version }: SenderOptions,
): Promise<Response> {
  const body = JSON.stringify(messageOf(event))
  return await callExternal(url, hosts, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': `Ch202/${version}`,
      ...webhookHeaders(secret, event.id, Math.floor(clock.now() / SECOND), body),
    },
    body,
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
  })
}

/** Returns a code for an error of `fetch`, whose text may contain the address. */
function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (name === 'TimeoutError') return 'timeout'
  if (/CERT|TLS|SSL/.test(String(code))) return 'tls'
  return 'unreachable'
}
