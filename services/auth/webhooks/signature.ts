import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'

/** Length of a secret in bytes: Standard Webhooks requires 24 to 64. */
export const SECRET_BYTES = 32

/** Formats a secret as the receiver needs it. */
export function secretText(secret: Uint8Array): string {
  return PREFIX + Buffer.from(secret).toString('base64')
}

/**
 * Signs a message: builds the headers of an attempt (Standard Webhooks).
 * @param seconds the time of the attempt, since the epoch
 */
export function webhookHeaders(secret: Uint8Array, eventId: string, seconds: number, body: string) {
  const id = `msg_${eventId}`
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` }
}
