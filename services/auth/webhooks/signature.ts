import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'

/** How many random bytes a secret has: Standard Webhooks asks for 24 to 64. */
export const SECRET_BYTES = 32

/** A secret as its receiver is given it. */
export function secretText(secret: Uint8Array): string {
  return PREFIX + Buffer.from(secret).toString('base64')
}

/** What a try is sent with. @param seconds since the epoch, of this try */
export function webhookHeaders(secret: Uint8Array, eventId: string, seconds: number, body: string) {
  const id = `msg_${eventId}`
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` }
}
