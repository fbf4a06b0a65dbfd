import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'

/** The target of deliveries to the message broker, in place of a webhook's id. */
export const AMQP = 'amqp'
/** The statuses of a delivery. */
export const STATUSES = ['pending', 'delivered', 'dead'] as const
export type DeliveryStatus = (typeof STATUSES)[number]

/** Makes a webhook readable in a table, where an empty list of types would look like "no events". */
export function displayed<T extends { types: string[] }>({ out }: Tool, webhook: T): T {
  return out.options.output === 'table' && webhook.types.length === 0 ? { ...webhook, types: ['all'] } : webhook
}

/** Fetches a webhook; undefined if no webhook has this id. */
export async function findWebhook(tool: Tool, id: string) {
  const api = await tool.api()
  const { items } = await api.auth((auth) => auth.admin.webhooks.get())
  return items.find((webhook) => webhook.id === id)
}

/** The failure for an id that no webhook has. */
export function noSuchWebhook(id: string): Failure {
  return new Failure(EXIT.notFound, `There is no webhook ${id}`, {
    code: 'not_found',
    suggestion: 'ch202 webhooks list',
  })
}
