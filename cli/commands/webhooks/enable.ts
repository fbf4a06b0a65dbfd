import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { shortenedIdFailure, UUID } from '../../tool/refs.ts'
import { displayed, findWebhook, noSuchWebhook } from './webhook.ts'

/** Adds `webhooks enable`. */
export function addEnable(webhooks: Command): void {
  addSwitch(webhooks, 'enable', 'active', 'Send events to a disabled webhook again')
}

/** Adds `webhooks disable`. */
export function addDisable(webhooks: Command): void {
  addSwitch(webhooks, 'disable', 'disabled', 'Stop sending events to a webhook; its pending deliveries become dead')
}

function addSwitch(webhooks: Command, verb: string, status: 'active' | 'disabled', description: string): void {
  addCommand(webhooks, verb, description, [
    `ch202 webhooks list -o ids | head -n 1 | xargs ch202 webhooks ${verb}`,
    `ch202 webhooks list -o ids | xargs -n 1 ch202 webhooks ${verb} -o json`,
  ])
    .argument('<webhook>', 'the id of the webhook')
    .action(withTool((tool, _: object, id: string) => setStatus(tool, id, status)))
}

async function setStatus(tool: Tool, id: string, status: 'active' | 'disabled'): Promise<void> {
  // Anything but an id could lead to another path of the API.
  if (!UUID.test(id)) throw shortenedIdFailure(id, 'ch202 webhooks list') ?? noSuchWebhook(id)
  const before = await findWebhook(tool, id)
  if (!before) throw noSuchWebhook(id)
  const api = await tool.api()
  const after = await api.auth((auth) => auth.admin.webhooks({ webhook_id: segment(id) }).patch({ status }))
  await tool.out.record({ ...displayed(tool, after), changed: before.status !== status })
}
